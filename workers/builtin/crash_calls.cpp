// The crash worker's forbidden calls: what a strict sandbox is there to refuse, each tried from within a worker. One that
// is let through says so and ends with an error, whatever came of it.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "workers/builtin/crash.hpp"

namespace bulkhead::workers {
namespace {

// A call that was let through, and what the kernel said otherwise.
Result<void> let_through(const char* call, long result) {
  const std::string outcome = result >= 0 ? "done" : std::strerror(errno);
  return make_error(Errc::not_permitted, std::string(call) + " was let through: " + outcome);
}

// Refused with an error and not by a signal: the worker ends with the code that its config names.
Result<void> answered(const char* what, const Crash& crash, int wanted) {
  if (errno != wanted) return let_through(what, -1);
  std::printf("%s: %s\n", what, std::strerror(errno));
  std::fflush(stdout);
  std::_Exit(static_cast<int>(crash.code));
}

Result<void> open_outside(Worker&, const Crash& crash) {
  const int file = ::open("/etc/passwd", O_RDONLY | O_CLOEXEC);
  if (file >= 0) return let_through("opening /etc/passwd", file);
  return answered("opening /etc/passwd", crash, EACCES);
}

// Where it may only read: the system's programs.
Result<void> write_outside(Worker&, const Crash& crash) {
  const int file = ::open("/usr/bulkhead-was-here", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file >= 0) {
    ::unlink("/usr/bulkhead-was-here");
    return let_through("writing to /usr", file);
  }
  return answered("writing to /usr", crash, EACCES);
}

Result<void> new_unix_socket(Worker&, const Crash& crash) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) return let_through("socket(AF_UNIX)", fd);
  return answered("socket(AF_UNIX)", crash, EACCES);
}

Result<void> execute(Worker&, const Crash&) {
  char program[] = "/bin/true";
  char* const argv[] = {program, nullptr};
  char* const env[] = {nullptr};
  return let_through("execve", ::execve(program, argv, env));
}

Result<void> fork_off(Worker&, const Crash&) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  return let_through("fork", child);
}

// Of nobody: whom it could have, it would stop.
Result<void> trace(Worker&, const Crash&) {
  return let_through("ptrace", ::ptrace(PTRACE_ATTACH, 0, nullptr, nullptr));
}

Result<void> new_inet_socket(Worker&, const Crash&) {
  return let_through("socket(AF_INET)", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

// A datagram pair could be pointed at any socket with a name.
Result<void> new_datagram_pair(Worker&, const Crash&) {
  int fds[2] = {-1, -1};
  return let_through("socketpair(SOCK_DGRAM)",
                     ::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds));
}

// On no socket at all: what matters is that nobody looks at the descriptor first.
Result<void> connect_by_sending(Worker&, const Crash&) {
  return let_through("sendto(MSG_FASTOPEN)", ::sendto(-1, "x", 1, MSG_FASTOPEN, nullptr, 0));
}

// The signal by which it goes when its supervisor has gone.
Result<void> outlive_the_supervisor(Worker&, const Crash&) {
  return let_through("prctl(PR_SET_PDEATHSIG)", ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
}

// The arguments are those of a call that does nothing, should nobody refuse it.
Result<void> mount_nothing(Worker&, const Crash&) {
  return let_through("mount", ::mount("none", "/nowhere/at/all", "none", 0, nullptr));
}

Result<void> become_who_it_is(Worker&, const Crash&) {
  return let_through("setuid", ::setuid(::getuid()));
}

// Signal 0 only asks whether it could be sent.
Result<void> signal_another(Worker&, const Crash&) {
  return let_through("kill", ::kill(::getppid(), 0));
}

Result<void> make_code(Worker&, const Crash&) {
  void* const page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return errno_error(errno, "mapping a page");
  return let_through("mprotect", ::mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

}  // namespace

const std::map<std::string, Disaster>& forbidden_calls() {
  static const std::map<std::string, Disaster> all{{"open_outside", &open_outside},
                                                   {"write_outside", &write_outside},
                                                   {"unix_socket", &new_unix_socket},
                                                   {"exec", &execute},
                                                   {"fork", &fork_off},
                                                   {"ptrace", &trace},
                                                   {"inet_socket", &new_inet_socket},
                                                   {"datagram_pair", &new_datagram_pair},
                                                   {"fastopen", &connect_by_sending},
                                                   {"outlive", &outlive_the_supervisor},
                                                   {"mount", &mount_nothing},
                                                   {"setuid", &become_who_it_is},
                                                   {"kill_other", &signal_another},
                                                   {"make_code", &make_code}};
  return all;
}

}  // namespace bulkhead::workers
