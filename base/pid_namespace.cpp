#include "base/pid_namespace.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/child_process.hpp"

namespace bulkhead::base {

Result<void> try_pid_namespace() {
  const pid_t child = ::fork();
  if (child < 0) return errno_error(errno, "fork, to try a pid namespace");
  if (child == 0) ::_exit(::unshare(CLONE_NEWPID) == 0 ? 0 : errno);  // errno fits in a byte
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const int error_number = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
  if (error_number == 0) return {};
  return errno_error(error_number,
                     "begin a pid namespace, which needs CAP_SYS_ADMIN (run as root)");
}

Result<UniqueFd> open_pid_namespace(const Spawned& first) {
  const std::string path = "/proc/" + std::to_string(first.pid) + "/ns/pid";
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  const int error_number = errno;
  // The number was this process's when it was opened if the process is there now.
  if (!send_signal(first.pidfd.get(), 0)) {
    return make_error(Errc::peer_died, "the first process of a pid namespace was killed");
  }
  if (!fd.is_open()) return errno_error(error_number, "open " + path);
  return fd;
}

}  // namespace bulkhead::base
