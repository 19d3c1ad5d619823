#include "supervisor/keeper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/clock.hpp"
#include "base/urgency.hpp"

// The tables of sync points stand in keeper_layout.hpp and state_layout.hpp.
namespace bulkhead::supervisor {
namespace {

constexpr std::uint32_t stop_requests_patience = 2;  // the third is answered by the keeper itself
constexpr std::uint32_t brain_failures_max = 10;     // in a row, when nobody would miss the system

const char* describe_death(const siginfo_t& status) noexcept {
  if (status.si_code == CLD_EXITED) return "exit code";
  return "signal";
}

}  // namespace

Result<void> Keeper::prepare(const KeeperArguments& arguments) {
  arguments_ = arguments;
  lock_.reset(arguments.lock);
  lock_name_.take(arguments.lock);
  socket_name_.take(arguments.system.control_path.c_str());
  auto prepared = prepare_parts();
  if (!prepared) remove_names();  // nobody else will
  return prepared;
}

Result<void> Keeper::prepare_parts() {
  for (const int fd : {arguments_.keeper_page, arguments_.state, arguments_.lock,
                       arguments_.listener, arguments_.config}) {
    if (auto kept = base::set_cloexec(fd, true); !kept) return kept;
  }
  if (auto settled = settle_process(); !settled) return settled;
  if (auto mapped = map_memory(); !mapped) return mapped;
  if (auto heard = voice_.prepare(); !heard) return heard;
  header_->is_heard = voice_.is_heard() ? 1 : 0;
  return brain_.prepare(arguments_);
}

Result<void> Keeper::map_memory() {
  const auto size = base::file_size(arguments_.keeper_page);
  if (!size) return size.error();
  auto page = base::MappedRegion::map(arguments_.keeper_page, *size, base::Access::read_write);
  if (!page) return page.error();
  page_ = std::move(*page);
  header_ = reinterpret_cast<keeper_layout::Header*>(page_.data());
  const std::uint32_t store_entries = header_->store_entries;
  const std::uint32_t exit_entries = header_->exit_entries;
  if (header_->magic != keeper_layout::magic || header_->version != keeper_layout::version ||
      store_entries > keeper_layout::store_entries_max ||
      *size != keeper_layout::page_bytes(store_entries, exit_entries)) {
    return make_error(Errc::version_mismatch, "the keeper's page is of another version");
  }
  // From here on nobody else can map it for writing.
  if (::fcntl(arguments_.keeper_page, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) {
    return errno_error(errno, "seal the keeper's page");
  }
  auto state = base::MappedRegion::map(arguments_.state, sizeof(state_layout::Layout),
                                       base::Access::read_only);
  if (!state) return state.error();
  state_memory_ = std::move(*state);
  state_ = reinterpret_cast<const state_layout::Layout*>(state_memory_.data());

  auto* entries =
      reinterpret_cast<keeper_layout::StoreEntry*>(page_.data() + keeper_layout::store_offset);
  auto* ring = reinterpret_cast<keeper_layout::ExitEntry*>(
      page_.data() + keeper_layout::exits_offset(store_entries));
  store_.attach(*header_, {entries, store_entries});
  reaper_.attach(*header_, {ring, exit_entries}, *state_);
  header_->keeper_pid = ::getpid();
  header_->started_ns = base::monotonic_ns();
  rlimit descriptors{};
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) != 0)
    return errno_error(errno, "read RLIMIT_NOFILE");
  header_->nofile_soft_limit = descriptors.rlim_cur;
  descriptors.rlim_cur = descriptors.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &descriptors) != 0)
    return errno_error(errno, "raise RLIMIT_NOFILE");
  return {};
}

Result<void> Keeper::settle_process() {
  // A closed 0, 1 or 2 would be given to the next descriptor, which a child then takes for its stdout.
  for (int fd = 0; fd < 3; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0)
      return errno_error(errno, "open /dev/null");
  }
  (void)base::become_urgent();  // docs/adr/0003; `doctor` tells where it is not permitted
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    return errno_error(errno, "become the subreaper");
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&wanted, signal);
  // Ignored, SIGCHLD would make the kernel reap by itself and lose every exit status.
  if (::signal(SIGCHLD, SIG_DFL) == SIG_ERR || ::signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
      ::sigprocmask(SIG_SETMASK, &wanted, nullptr) != 0) {
    return errno_error(errno, "block signals");
  }
  signals_.reset(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.is_open()) return errno_error(errno, "make a signalfd");

  std::array<char, 24> text{};
  const int length = std::snprintf(text.data(), text.size(), "%d\n", ::getpid());
  if (::ftruncate(lock_.get(), 0) != 0 ||
      ::pwrite(lock_.get(), text.data(), static_cast<std::size_t>(length), 0) != length) {
    return errno_error(errno, "write our pid to the lock file");
  }
  return {};
}

int Keeper::run() noexcept {
  start_brain();
  while (!finished_) {
    const auto now = base::monotonic_ns();
    std::array<pollfd, 2> polled{
        {{signals_.get(), POLLIN, 0},
         {brain_.socket(), static_cast<short>(answer_waits_ ? POLLOUT : POLLIN), 0}}};
    if (::poll(polled.data(), polled.size(), next_timeout_ms(now)) < 0 && errno != EINTR) {
      report("cannot poll: %s", std::strerror(errno));
      finish(1);
      break;
    }
    // Requests first: what a dying brain still asked for counts, above all `stop`.
    if (polled[1].revents != 0) serve_brain();
    if (polled[0].revents != 0) take_signals();
    voice_.retry();
    watch_brain(base::monotonic_ns());
  }
  remove_names();
  return exit_code_;
}

int Keeper::next_timeout_ms(std::uint64_t now) const noexcept {
  constexpr std::uint64_t ns_per_ms = 1'000'000;
  if (brain_.is_alive()) return static_cast<int>(BrainWatch::interval_ns / ns_per_ms);
  if (start_brain_at_ <= now) return 0;
  return static_cast<int>((start_brain_at_ - now + ns_per_ms - 1) / ns_per_ms);
}

void Keeper::take_signals() noexcept {
  std::array<signalfd_siginfo, 8> batch;
  for (;;) {
    const ssize_t n = ::read(signals_.get(), batch.data(), sizeof batch);
    if (n <= 0) break;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n) / sizeof batch[0]; ++i) {
      const auto signal = static_cast<int>(batch[i].ssi_signo);
      const bool hangup = signal == SIGHUP;  // the terminal is gone; a detached system has none
      if (signal != SIGCHLD && !(hangup && arguments_.system.detached)) request_stop();
    }
  }
  reap_children();
}

void Keeper::request_stop() noexcept {
  // sync keeper.stop: release; pairs with acquire in KeeperClient::stop_requests; the count alone
  const auto count = header_->stop_requests.fetch_add(1, std::memory_order_release) + 1;
  if (count > stop_requests_patience) {
    report("stopped for the third time: killing everything");
    finish(1);
    return;
  }
  ring_bell();
  give_up_if_hopeless();
}

void Keeper::reap_children() noexcept {
  const ReapResult result = reaper_.reap(brain_.pid());
  if (result.brain_died) bury_brain(result.brain_status);
  if (result.appended) ring_bell();
}

void Keeper::start_brain() noexcept {
  // relaxed: a brain reads it after its exec
  const auto generation = header_->brain_generation.fetch_add(1, std::memory_order_relaxed) + 1;
  brain_started_at_ = base::monotonic_ns();
  const auto failure = brain_.start(store_);
  header_->brain_pid.store(brain_.pid(), std::memory_order_relaxed);  // relaxed: for display
  watch_.begin(state_->header.beat.load(std::memory_order_relaxed),   // relaxed: only compared
               base::monotonic_ns());
  if (failure.stage == base::SpawnStage::none) return;
  report("brain %u could not be started: %s %s: %s", generation, base::to_string(failure.stage),
         arguments_.brain_program.c_str(), std::strerror(failure.error_number));
  if (brain_.is_alive()) return;  // its zombie comes with SIGCHLD
  brain_.forget();
  start_brain_at_ = base::monotonic_ns() + restart_.delay_after_death(false, 0);
  give_up_if_hopeless();
}

bool Keeper::brain_had_taken_over() const noexcept {
  // sync state.taken: acquire; pairs with release in set_taken_over; nothing else, only compared
  return state_->header.taken_over.load(std::memory_order_acquire) ==
         header_->brain_generation.load(std::memory_order_relaxed);  // relaxed: our own write
}

// All that it held is in our store and in the state memory; what it asked for last is in the socket.
void Keeper::bury_brain(const siginfo_t& status) noexcept {
  answer_waits_ = false;
  while (!finished_ && serve_one_request()) {
  }
  if (finished_) return;
  const bool handed_over =
      status.si_code == CLD_EXITED && status.si_status == keeper_layout::exit_handover;
  if (!handed_over) {
    report("the brain (pid %d) died: %s %d; starting another", brain_.pid(), describe_death(status),
           status.si_status);
  }
  brain_.forget();
  answer_waits_ = false;
  const std::uint64_t now = base::monotonic_ns();
  start_brain_at_ = now + restart_.delay_after_death(
                              brain_had_taken_over(),
                              handed_over ? BrainRestart::short_life_ns : now - brain_started_at_);
  give_up_if_hopeless();
}

// A system in which no brain ever took over has nothing to lose, and one that was asked to stop is not
// kept for the sake of a brain that cannot run.
void Keeper::give_up_if_hopeless() noexcept {
  if (finished_ || brain_had_taken_over() || restart_.failures() < brain_failures_max) return;
  const bool never_ran =
      state_->header.taken_over.load(std::memory_order_relaxed) == 0;  // relaxed: only compared
  // relaxed: our own write
  if (!never_ran && header_->stop_requests.load(std::memory_order_relaxed) == 0) return;
  report("no brain could take over in %u attempts: giving up", restart_.failures());
  finish(1);
}

void Keeper::watch_brain(std::uint64_t now) noexcept {
  if (finished_) return;
  if (!brain_.is_alive()) {
    if (start_brain_at_ <= now) start_brain();
    return;
  }
  const auto beat = state_->header.beat.load(std::memory_order_relaxed);  // relaxed: only compared
  if (!watch_.is_hung(beat, brain_had_taken_over(), now)) return;
  report("the brain (pid %d) hangs: killing it", brain_.pid());
  brain_.kill();
  watch_.begin(beat, now);  // until its death is seen
}

}  // namespace bulkhead::supervisor
