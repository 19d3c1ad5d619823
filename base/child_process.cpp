#include "base/child_process.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace bulkhead::base {
namespace {

using namespace std::chrono_literals;

// Rounded up, so that a wait never returns before its deadline only to be repeated at once.
int poll_slice(const Deadline& deadline) {
  const auto left = std::min<Deadline::clock::duration>(deadline.remaining(), 100ms);
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

Result<ExitStatus> reap(pid_t pid) {
  siginfo_t info{};
  // By pid and not by pidfd: Linux before 5.4 has no P_PIDFD, and an unreaped child keeps its number.
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) != 0) {
    if (errno != EINTR) return errno_error(errno, "wait for process " + std::to_string(pid));
  }
  if (info.si_code == CLD_EXITED) return ExitStatus{Exited{info.si_status}};
  return ExitStatus{Signaled{info.si_status, info.si_code == CLD_DUMPED}};
}

}  // namespace

std::string to_string(const ExitStatus& status) {
  if (const auto* exited = std::get_if<Exited>(&status)) {
    return "exit code " + std::to_string(exited->code);
  }
  const int number = std::get<Signaled>(status).signal;
  const char* name = ::sigabbrev_np(number);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(number);
}

Result<void> send_signal(int pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return {};
  return errno_error(errno, "send signal " + std::to_string(signal));
}

ChildProcess::ChildProcess(Spawned spawned, OnDestroy on_destroy)
    : spawned_(std::move(spawned)), on_destroy_(on_destroy) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    end();
    spawned_ = std::move(other.spawned_);
    on_destroy_ = other.on_destroy_;
    status_ = other.status_;
  }
  return *this;
}

ChildProcess::~ChildProcess() { end(); }

void ChildProcess::end() noexcept {
  if (!spawned_.pidfd.is_open() || status_ || on_destroy_ == OnDestroy::detach) return;
  (void)base::send_signal(pidfd(), SIGKILL);
  (void)reap(pid());
}

Result<ExitStatus> ChildProcess::wait(Deadline deadline) {
  while (!status_) {
    if (deadline.stopped())
      return make_error(Errc::stopped, "wait for process " + std::to_string(pid()));
    pollfd entry{pidfd(), POLLIN, 0};
    const int ready = ::poll(&entry, 1, poll_slice(deadline));
    if (ready < 0 && errno != EINTR)
      return errno_error(errno, "wait for process " + std::to_string(pid()));
    if (ready > 0) {
      auto status = reap(pid());
      if (!status) return status;
      status_ = *status;
    } else if (ready == 0 && deadline.expired()) {
      return make_error(Errc::timed_out, "process " + std::to_string(pid()) + " still runs");
    }
  }
  return *status_;
}

Result<void> ChildProcess::send_signal(int signal) { return base::send_signal(pidfd(), signal); }

}  // namespace bulkhead::base
