#include "pool/command_guard.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "base/process_tree.hpp"

namespace bulkhead::pool {
namespace {

constexpr std::chrono::seconds descendants_patience{5};

// An ignored signal that is blocked would be delivered all the same (signal(7)), and whoever had it ignored, nohup or
// a shell for its background jobs, meant us.
sigset_t guarded_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP}) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_IGN) ::sigaddset(&set, signal);
  }
  ::sigaddset(&set, SIGCHLD);
  ::sigaddset(&set, SIGCONT);
  return set;
}

std::optional<base::ExitStatus> reap_until(pid_t wanted) {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0) {
    if (info.si_pid == wanted) {
      if (info.si_code == CLD_EXITED) return base::ExitStatus(base::Exited{info.si_status});
      return base::ExitStatus(base::Signaled{info.si_status, info.si_code == CLD_DUMPED});
    }
    info = {};
  }
  return std::nullopt;
}

// Until the child has ended; meanwhile it is told what we are told.
base::ExitStatus attend(pid_t child, const sigset_t& signals, int lifeline) {
  for (;;) {
    if (const auto status = reap_until(child)) return *status;
    const int signal = ::sigwaitinfo(&signals, nullptr);
    if (signal == SIGTSTP) {  // Ctrl-Z, which does not reach another session
      ::kill(child, SIGSTOP);
      ::raise(SIGSTOP);
    } else if (signal == SIGCONT) {
      ::kill(child, SIGCONT);
    } else if (signal > 0 && signal != SIGCHLD) {
      const char byte = static_cast<char>(signal);
      (void)!::write(lifeline, &byte, 1);
    }
  }
}

// Whatever the child left becomes ours when it dies.
Result<void> end_descendants() {
  const auto deadline = Deadline::in(descendants_patience);
  for (;;) {
    siginfo_t info{};
    while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0) {
      if (info.si_pid == 0) break;
      info = {};
    }
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return {};
    const auto killed = base::kill_tree({"", 0, ::getpid()}, deadline);
    if (!killed) return killed.error();
  }
}

// ps(1) tells the two apart, and a kill by name or command line meets one of them, which the other one outlives. The
// words of the command line lie where argv[0] does.
void take_another_name() {
  constexpr std::string_view name = "map-commands";
  ::prctl(PR_SET_NAME, name.data());
  char* const shown = program_invocation_name;
  const std::size_t room = std::strlen(shown);
  for (std::size_t i = 0; i < room; ++i) shown[i] = i < name.size() ? name[i] : '\0';
}

[[noreturn]] void become_child(const std::function<int(int)>& work, pid_t parent,
                               base::FdPair lifeline) {
  lifeline.second.reset();
  // Away from the terminal's signals and from those to our parent's group.
  ::setsid();
  take_another_name();
  // Stopped with its parent, it would not hear that it is alone.
  ::prctl(PR_SET_PDEATHSIG, SIGCONT);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  int code = 1;
  if (::getppid() == parent) code = work(lifeline.first.get());
  std::fflush(nullptr);
  ::_exit(code);
}

}  // namespace

Result<int> run_guarded(const std::function<int(int lifeline)>& work) {
  auto lifeline = base::make_pipe();
  if (!lifeline) return lifeline.error();
  const sigset_t signals = guarded_signals();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become_child(work, parent, std::move(*lifeline));
  if (child < 0) {
    const int failure = errno;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    return errno_error(failure, "make a process that runs the commands");
  }
  lifeline->first.reset();
  const auto status = attend(child, signals, lifeline->second.get());
  // The signals stay blocked: one that comes now must not change how we end.
  auto ended = end_descendants();
  if (!ended) return ended.error();
  if (const auto* exited = std::get_if<base::Exited>(&status)) return exited->code;
  return make_error(Errc::exec_failed, "the process that ran the commands died of " +
                                           base::to_string(status) + "; what it ran was ended");
}

}  // namespace bulkhead::pool
