// What run_jobs() does with inputs and output; command_deaths.cpp has how commands end.
#include "pool/command_jobs.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "pool/command_loop.hpp"

namespace bulkhead::pool {
namespace {

using namespace std::chrono_literals;

constexpr auto progress_interval = 100ms;
// Most commands end before that and write less than a pipe holds: they cost no event but their death.
constexpr auto pipes_unwatched = 4ms;
constexpr std::size_t pipe_read_bytes = 65536;  // what a pipe holds

// Of an event: who it is about, and above bit 32 what it is.
constexpr std::uint64_t about_pipe_of_output = 0, about_pipe_of_errors = 1, about_deaths = 2,
                        about_lifeline = 3, about_input = 4, about_printer = 5;
constexpr std::uint64_t tag_of(std::uint64_t what, std::size_t slot = 0) noexcept {
  return what << 32 | slot;
}

// The context of a failed exec names stage and reason; of others the code is half of the sentence.
std::string sentence_of_start(const Error& error) {
  return error.is(Errc::exec_failed) ? error.context : error.to_string();
}

// The rest of what a loop has open: standard streams, each opened once more, epoll, deaths, lifeline, null device,
// a report, the file of outputs; and what a start takes for a moment: a pidfd and the child's three copies.
constexpr std::size_t other_descriptors = 3 + 3 + 4 + 2 + 4;
constexpr std::size_t descriptors_per_worker = 4;

}  // namespace

const char* to_string(JobCause cause) noexcept {
  switch (cause) {
    case JobCause::done: return "done";
    case JobCause::exit_code: return "exit_code";
    case JobCause::signal: return "signal";
    case JobCause::timeout: return "timeout";
    case JobCause::start_failed: return "start_failed";
    case JobCause::output_lost: return "output_lost";
    case JobCause::interrupted: return "interrupted";
  }
  return "?";
}

std::size_t descriptors_for(std::size_t workers) noexcept {
  return other_descriptors + descriptors_per_worker * workers;
}

Result<JobsSummary> run_jobs(const CommandTemplate& command, const JobsOptions& options,
                             JobsObserver& observer) {
  std::optional<base::ResourceLimit> theirs;
  rlimit ours{};
  ::getrlimit(RLIMIT_NOFILE, &ours);
  if (const auto needed = descriptors_for(options.workers); needed > ours.rlim_cur) {
    theirs = base::ResourceLimit{RLIMIT_NOFILE, ours.rlim_cur, ours.rlim_max};
    const rlimit raised{std::min<rlim_t>(needed, ours.rlim_max), ours.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) != 0) {
      return errno_error(errno, "raise the limit of descriptors");
    }
  }
  auto starter = CommandStarter::make(command.executable(), theirs);
  if (!starter) return starter.error();
  JobLoop loop(command, std::move(*starter), options, observer);
  return loop.run();
}

JobLoop::JobLoop(const CommandTemplate& command, CommandStarter starter, const JobsOptions& options,
                 JobsObserver& observer)
    : command_(command),
      starter_(std::move(starter)),
      options_(options),
      store_(options.spill_directory, options.memory_max),
      inputs_(options.input, options.separator),
      printer_(options, observer),
      slots_(options.workers),
      buffer_(pipe_read_bytes) {}

Result<void> JobLoop::open() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return errno_error(errno, "become a subreaper");
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, nullptr);
  deaths_.reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!deaths_.is_open()) return errno_error(errno, "watch for SIGCHLD");
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.is_open()) return errno_error(errno, "make an epoll");
  if (auto watched = watch(deaths_.get(), EPOLLIN, tag_of(about_deaths)); !watched) return watched;
  if (options_.lifeline < 0) return {};
  return watch(options_.lifeline, EPOLLIN, tag_of(about_lifeline));
}

Result<void> JobLoop::watch(int fd, std::uint32_t events, std::uint64_t tag) {
  epoll_event event{events, {.u64 = tag}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return errno_error(errno, "watch descriptor " + std::to_string(fd));
}

Result<JobsSummary> JobLoop::run() {
  if (auto opened = open(); !opened) return opened.error();
  for (;;) {
    if (auto read = read_inputs(); !read) input_failure_ = read.error();
    hand_out();
    print();
    if (is_over()) break;
    wait();
  }
  printer_.take_progress_away();
  end_strays();
  if (input_failure_ && summary_.stopped_by == 0) return *input_failure_;
  summary_.progress = progress();
  summary_.output_dropped = printer_.dropped();
  if (printer_.failed() && !printer_.reader_is_gone()) summary_.write_failure = printer_.failure();
  return summary_;
}

bool JobLoop::is_over() const {
  const bool no_more =
      summary_.stopped_by != 0 || input_failure_ || (inputs_.ended() && inputs_.empty());
  return no_more && jobs_.empty() && busy_ == 0 && printer_.idle();
}

JobsProgress JobLoop::progress() const {
  JobsProgress now = summary_.progress;
  now.running = busy_;
  now.inputs = inputs_.count();
  now.inputs_ended = inputs_.ended();
  return now;
}

// A pipe or terminal is read when it says so; a file at once, a block a turn.
Result<void> JobLoop::read_inputs() {
  const bool wanted =
      !inputs_.ended() && !inputs_.full() && summary_.stopped_by == 0 && !input_failure_;
  if (input_is_file_ && wanted) {
    if (auto read = inputs_.read_more(); !read) return read.error();
  }
  if (input_is_file_ || wanted == input_is_watched_) return {};
  input_is_watched_ = wanted;
  if (!wanted) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, inputs_.poll_fd(), nullptr);
    return {};
  }
  auto watched = watch(inputs_.poll_fd(), EPOLLIN, tag_of(about_input));
  if (watched || watched.error().code.value() != EPERM) return watched;  // epoll_ctl(2): a file
  input_is_watched_ = false;
  input_is_file_ = true;
  return read_inputs();
}

void JobLoop::hand_out() {
  for (std::size_t i = 0; i < slots_.size() && !scarce_ && summary_.stopped_by == 0; ++i) {
    while (slots_[i].job == nullptr) {
      CommandJob* const job = next_job();
      if (job == nullptr) return;
      if (!start(*job, slots_[i])) return;
    }
  }
}

bool JobLoop::has_next_job() const {
  if (!again_.empty()) return true;
  const bool far_ahead = !jobs_.empty() && (jobs_.size() >= options_.window_inputs ||
                                            store_.bytes_held() >= options_.window_bytes);
  return !inputs_.empty() && !far_ahead;
}

CommandJob* JobLoop::next_job() {
  if (!has_next_job()) return nullptr;
  if (!again_.empty()) {
    CommandJob* const job = again_.front();
    again_.pop_front();
    return job;
  }
  CommandJob& job = jobs_.emplace_back(inputs_.take(), store_);
  job.report.index = job.input.index;
  job.report.input = std::move(job.input.text);
  return &job;
}

// False: nothing can be started now.
bool JobLoop::start(CommandJob& job, Slot& slot) {
  JobReport& report = job.report;
  const auto refuse = [&](std::string reason, bool may_retry) {
    report.cause = JobCause::start_failed;
    report.reason = std::move(reason);
    settle(job, may_retry);
    return true;
  };
  using Fault = CommandInput::Fault;
  if (job.input.fault == Fault::too_long) {
    return refuse("the input is longer than an argument can be", false);
  }
  if (job.input.fault == Fault::has_nul) {
    return refuse("the input has a NUL, which no argument can have (--null separates by it)",
                  false);
  }
  command_.fill(report.input, argv_);
  auto failure = CommandStarter::Failure::none;
  auto process = starter_.start(argv_, failure);
  if (!process && failure == CommandStarter::Failure::scarce && busy_ > 0) {
    again_.push_front(&job);
    scarce_ = true;
    return false;
  }
  ++report.attempts;
  ++summary_.attempts;
  report.duration = {};
  if (!process) return refuse(sentence_of_start(process.error()), true);
  slot = Slot{};
  slot.job = &job;
  slot.process = std::move(*process);
  slot.started = Clock::now();
  slot.watch_due = slot.started + pipes_unwatched;
  slot.due =
      options_.timeout.count() > 0 ? slot.started + options_.timeout : Clock::time_point::max();
  ++busy_;
  return true;
}

void JobLoop::watch_pipes(Slot& slot) {
  slot.watch_due = Clock::time_point::max();
  const auto index = static_cast<std::size_t>(&slot - slots_.data());
  auto watched =
      watch(slot.process.output.first.get(), EPOLLIN, tag_of(about_pipe_of_output, index));
  if (watched) {
    watched = watch(slot.process.errors.first.get(), EPOLLIN, tag_of(about_pipe_of_errors, index));
  }
  if (!watched) lose_output(slot, watched.error());
}

void JobLoop::settle(CommandJob& job, bool may_retry) {
  JobReport& report = job.report;
  const bool failed = report.quarantined();
  if (failed && may_retry && report.attempts <= options_.retries) {
    if (summary_.stopped_by == 0) {
      job.output.clear();
      job.errors.clear();
      again_.push_back(&job);
      return;
    }
    report.cause = JobCause::interrupted;
  }
  job.finished = true;
  if (report.cause != JobCause::interrupted) ++summary_.progress.finished;
  if (report.quarantined()) ++summary_.progress.quarantined;
}

void JobLoop::wait() {
  std::array<epoll_event, 64> events;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(patience(more_to_print_));
  const int timeout =
      left > 1h ? 3'600'000 : static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
  for (int i = 0; i < n; ++i) take_event(events[static_cast<std::size_t>(i)].data.u64);
  check_times();
}

JobLoop::Clock::duration JobLoop::patience(bool printing) const {
  const bool file_has_more = input_is_file_ && !inputs_.ended() && inputs_.empty() &&
                             summary_.stopped_by == 0 && !input_failure_;
  // What was printed has made room for more.
  const bool can_start =
      summary_.stopped_by == 0 && !scarce_ && busy_ < slots_.size() && has_next_job();
  if (printing || file_has_more || can_start) return {};
  auto due = options_.shows_progress ? progress_due_ : Clock::time_point::max();
  if (printer_.blocked_on() >= 0) due = std::min(due, unread_due_);
  for (const Slot& slot : slots_) {
    if (slot.job != nullptr) due = std::min({due, slot.due, slot.watch_due});
  }
  return due == Clock::time_point::max() ? Clock::duration::max() : due - Clock::now();
}

void JobLoop::take_event(std::uint64_t tag) {
  const auto slot = static_cast<std::size_t>(tag & 0xffff'ffff);
  switch (tag >> 32) {
    case about_pipe_of_output: return read_pipe(slots_[slot], false);
    case about_pipe_of_errors: return read_pipe(slots_[slot], true);
    case about_deaths: return hear_of_deaths();
    case about_lifeline: return hear_from_lifeline();
    case about_input:
      if (const auto read = inputs_.read_more(); !read) input_failure_ = read.error();
      return;
    default: return;  // about_printer: print() comes next
  }
}

// As much as is there now: an event of a pipe that was closed meanwhile finds nothing, and nobody who goes on
// writing keeps us here.
void JobLoop::read_pipe(Slot& slot, bool errors) {
  if (slot.job == nullptr) return;
  const int pipe = (errors ? slot.process.errors : slot.process.output).first.get();
  int left = 0;
  if (::ioctl(pipe, FIONREAD, &left) != 0) return;
  while (left > 0) {
    const ssize_t n =
        ::read(pipe, buffer_.data(), std::min(buffer_.size(), static_cast<std::size_t>(left)));
    if (n <= 0) return;
    left -= static_cast<int>(n);
    if (slot.ended_by == JobCause::output_lost) continue;
    CommandOutput& output = errors ? slot.job->errors : slot.job->output;
    const auto kept = output.append({buffer_.data(), static_cast<std::size_t>(n)});
    if (kept) continue;
    lose_output(slot, kept.error());
  }
}

void JobLoop::lose_output(Slot& slot, const Error& why) {
  slot.ended_by = JobCause::output_lost;
  slot.reason = why.to_string();
  slot.job->output.clear();
  slot.job->errors.clear();
  if (slot.phase != Phase::swept) kill(slot);
}

void JobLoop::print() {
  more_to_print_ = printer_.print(jobs_);
  if (printer_.failed() && summary_.stopped_by == 0) {
    stop(SIGPIPE);
    more_to_print_ = true;
  }
  const int blocked = printer_.blocked_on();
  if (blocked != printer_fd_) {
    if (printer_fd_ >= 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, printer_fd_, nullptr);
    if (blocked >= 0 && !watch(blocked, EPOLLOUT, tag_of(about_printer))) printer_.give_up();
    printer_fd_ = blocked;
  }
  if (options_.shows_progress && Clock::now() >= progress_due_) {
    printer_.show_progress(progress());
    progress_due_ = Clock::now() + progress_interval;
  }
}

}  // namespace bulkhead::pool
