// How commands end, by themselves and by us: the other half of the loop.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/process_tree.hpp"
#include "pool/command_loop.hpp"

namespace bulkhead::pool {
namespace {

using namespace std::chrono_literals;

// What SIGKILL does not end in that time is stuck in the kernel, or runs as somebody else.
constexpr std::chrono::seconds kill_patience{5};
// Members of a group that are not ours tell us nothing when they die.
constexpr std::chrono::milliseconds swept_interval{10};

// A child that has ended, left as it is; 0: none.
pid_t ended_child() noexcept {
  siginfo_t child{};
  if (::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) != 0) return 0;
  return child.si_pid;
}

}  // namespace

void JobLoop::hear_of_deaths() {
  std::array<signalfd_siginfo, 8> signals;
  (void)!::read(deaths_.get(), signals.data(), sizeof signals);
  bool strays = false;
  for (pid_t pid; (pid = ended_child()) != 0;) {
    Slot* of = nullptr;
    for (Slot& slot : slots_) {
      if (slot.job != nullptr && slot.phase != Phase::swept && slot.process.group == pid) {
        of = &slot;
        break;
      }
    }
    if (of != nullptr) {
      take_death(*of);
    } else {
      siginfo_t stray{};
      (void)::waitid(P_PID, static_cast<id_t>(pid), &stray, WEXITED | WNOHANG);
      strays = true;
    }
  }
  if (!strays) return;
  for (Slot& slot : slots_) {
    if (slot.job != nullptr && slot.phase == Phase::swept && slot.process.is_gone()) {
      finish_attempt(slot);
    }
  }
}

void JobLoop::take_death(Slot& slot) {
  slot.status = slot.process.end_group();
  slot.phase = Phase::swept;
  if (slot.process.is_gone()) return finish_attempt(slot);
  slot.due = Clock::now() + swept_interval;
  slot.given_up = Clock::now() + kill_patience;
}

void JobLoop::finish_attempt(Slot& slot) {
  read_pipe(slot, false);
  read_pipe(slot, true);
  CommandJob& job = *slot.job;
  JobReport& report = job.report;
  report.duration = Clock::now() - slot.started;
  report.cause = slot.ended_by;
  report.reason = slot.reason;
  if (const auto* exited = std::get_if<base::Exited>(&slot.status)) {
    report.code = exited->code;
    if (slot.ended_by == JobCause::done && exited->code != 0) report.cause = JobCause::exit_code;
  } else {
    report.code = std::get<base::Signaled>(slot.status).signal;
    if (slot.ended_by == JobCause::done) report.cause = JobCause::signal;
  }
  slot = Slot{};
  --busy_;
  scarce_ = false;
  settle(job, true);
}

void JobLoop::hear_from_lifeline() {
  std::array<char, 16> bytes;
  const ssize_t n = ::read(options_.lifeline, bytes.data(), bytes.size());
  if (n < 0) return;
  for (ssize_t i = 0; i < n; ++i) stop(bytes[static_cast<std::size_t>(i)]);
  if (n > 0) return;
  // Nobody is left whom an orderly end would serve.
  if (summary_.stopped_by == 0) stop(SIGKILL);
  printer_.give_up();
  kill_all();
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, options_.lifeline, nullptr);
}

void JobLoop::check_times() {
  const auto now = Clock::now();
  if (now >= unread_due_ && printer_.blocked_on() >= 0) printer_.give_up();
  for (Slot& slot : slots_) {
    if (slot.job != nullptr && slot.watch_due <= now) watch_pipes(slot);
    if (slot.job != nullptr && slot.due <= now) take_too_long(slot, now);
  }
}

void JobLoop::take_too_long(Slot& slot, Clock::time_point now) {
  switch (slot.phase) {
    case Phase::running: return ask_to_end(slot, JobCause::timeout);
    case Phase::asked_to_end: return kill(slot);
    case Phase::killed: leave_behind(slot); return finish_attempt(slot);
    case Phase::swept: break;
  }
  const bool is_gone =
      slot.process.is_gone() || base::find_processes({"", slot.process.group, 0}).empty();
  if (!is_gone && now < slot.given_up) {
    // Somebody may have joined since. The number is theirs as long as they live.
    slot.process.signal(SIGKILL);
    slot.due = now + swept_interval;
    return;
  }
  if (!is_gone) leave_behind(slot);
  finish_attempt(slot);
}

void JobLoop::ask_to_end(Slot& slot, JobCause why) {
  slot.ended_by = why;
  slot.phase = Phase::asked_to_end;
  slot.due = Clock::now() + options_.grace;
  slot.process.signal(SIGTERM);
  slot.process.signal(SIGCONT);  // one that is stopped would not hear it
}

void JobLoop::kill(Slot& slot) {
  slot.phase = Phase::killed;
  slot.due = Clock::now() + kill_patience;
  slot.process.signal(SIGKILL);
}

// The first time in good order; what is asked for again is to be at once.
void JobLoop::stop(int signal) {
  if (summary_.stopped_by != 0) return kill_all();
  summary_.stopped_by = signal;
  unread_due_ = Clock::now() + options_.grace;
  for (CommandJob* const job : again_) {
    job->report.cause = JobCause::interrupted;
    job->finished = true;
  }
  again_.clear();
  for (Slot& slot : slots_) {
    if (slot.job != nullptr && slot.phase == Phase::running) {
      ask_to_end(slot, JobCause::interrupted);
    }
  }
}

void JobLoop::kill_all() {
  if (printer_.blocked_on() >= 0) printer_.give_up();
  for (Slot& slot : slots_) {
    if (slot.job == nullptr || slot.phase == Phase::killed || slot.phase == Phase::swept) continue;
    kill(slot);
  }
}

void JobLoop::leave_behind(const Slot& slot) {
  summary_.left_behind += (summary_.left_behind.empty() ? "" : ", ") +
                          std::string("the group of process ") + std::to_string(slot.process.group);
}

// Who has left its command's group, a daemon, became our child when its parent died.
void JobLoop::end_strays() {
  const auto deadline = Deadline::in(kill_patience);
  for (;;) {
    siginfo_t child{};
    while (::waitid(P_ALL, 0, &child, WEXITED | WNOHANG) == 0 && child.si_pid != 0) child = {};
    if (::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) != 0) return;  // ECHILD
    const auto killed = base::kill_tree({"", 0, ::getpid()}, deadline);
    if (killed) continue;
    summary_.left_behind += (summary_.left_behind.empty() ? "" : ", ") + killed.error().to_string();
    return;
  }
}

}  // namespace bulkhead::pool
