#include "bench/echo_process.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <string>

#include "base/clock.hpp"

namespace bulkhead::bench {
namespace {

template <class T>
bool send_value(int socket, const T& value) noexcept {
  return ::send(socket, &value, sizeof value, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof value);
}
template <class T>
bool receive_value(int socket, T& value) noexcept {
  return ::recv(socket, &value, sizeof value, 0) == static_cast<ssize_t>(sizeof value);
}

Error echo_is_gone() { return make_error(Errc::peer_died, "the echo process of the benchmark"); }

}  // namespace

// The CPU time is read within the span that it is a share of.
Busyness::Busyness() noexcept
    : start_ns_(base::monotonic_ns()), cpu_before_ns_(base::processor_time_ns()) {}

double Busyness::share() const noexcept {
  const auto cpu = static_cast<double>(base::processor_time_ns() - cpu_before_ns_);
  return cpu / static_cast<double>(base::monotonic_ns() - start_ns_);
}

Result<void> pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) == 0) return {};
  return errno_error(errno, "run on processor " + std::to_string(cpu));
}

Result<std::unique_ptr<EchoProcess>> EchoProcess::start(int cpu, const Body& body) {
  auto control = base::make_socketpair(SOCK_SEQPACKET);
  if (!control) return control.error();
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return errno_error(errno, "fork the echo process of the benchmark");
  if (child == 0) {
    control->first.reset();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    serve(control->second.get(), cpu, body);
  }
  auto pidfd = base::open_pidfd(child);
  if (!pidfd) {
    ::kill(child, SIGKILL);
    return pidfd.error();
  }
  return std::unique_ptr<EchoProcess>(new EchoProcess(
      base::ChildProcess({child, std::move(*pidfd)}, base::ChildProcess::OnDestroy::kill),
      std::move(control->first)));
}

void EchoProcess::serve(int control, int cpu, const Body& body) noexcept {
  if (!pin_to(cpu)) ::_exit(1);
  body.prepare();
  std::uint64_t count = 0;
  while (receive_value(control, count)) {
    const Busyness busyness;
    const std::uint64_t calls_before = body.syscalls();
    EchoReport report;
    report.failed = !body.echo(count);
    report.busy = busyness.share();
    report.syscalls = body.syscalls() - calls_before;
    if (!send_value(control, report)) break;
  }
  ::_exit(0);
}

Result<void> EchoProcess::begin(std::uint64_t count) {
  if (!send_value(control_.get(), count)) return echo_is_gone();
  return {};
}

Result<EchoReport> EchoProcess::finish() {
  EchoReport report;
  if (!receive_value(control_.get(), report) || report.failed) return echo_is_gone();
  return report;
}

}  // namespace bulkhead::bench
