#include "supervisor/control_socket.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <bulkhead/deadline.hpp>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

namespace bulkhead::supervisor {
namespace {

constexpr mode_t owner_only_file = 0600;
constexpr int listen_backlog = 128;
constexpr std::chrono::seconds patience_with_other_starts{2};

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return make_error(Errc::invalid_argument,
                      "the path of the control socket has " + std::to_string(path.size()) +
                          " bytes, and the kernel allows " +
                          std::to_string(sizeof address.sun_path - 1) + ": " + path +
                          "; set BULKHEAD_RUNTIME_DIR to a shorter directory");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// Between the look at a socket and its removal another start could take the name. The directory itself is
// the lock, so that no file of ours has to lie beside a path that a user chose.
Result<base::UniqueFd> lock_directory_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  const std::string directory = parent.empty() ? "." : parent.string();
  base::UniqueFd lock{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!lock.is_open())
    return errno_error(errno, "open the control socket's directory " + directory);
  const auto deadline = Deadline::in(patience_with_other_starts);
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return errno_error(errno, "lock " + directory);
    if (deadline.expired()) {
      return make_error(Errc::timed_out, "somebody holds a lock on the directory " + directory +
                                             "; put the control socket into another one");
    }
    ::poll(nullptr, 0, 1);
  }
  return lock;
}

// The pid that called listen(2) (unix(7), SO_PEERCRED); 0 when it is not of our pid namespace.
pid_t listener_of(int connected) {
  ucred owner{};
  socklen_t size = sizeof owner;
  return ::getsockopt(connected, SOL_SOCKET, SO_PEERCRED, &owner, &size) == 0 ? owner.pid : 0;
}

bool has_ended(pid_t pid) {
  if (pid <= 0) return false;
  const auto process = base::open_pidfd(pid);
  if (!process) return process.error().code == boost::system::errc::no_such_process;
  pollfd end{process->get(), POLLIN, 0};
  return ::poll(&end, 1, 0) == 1;
}

Error in_use(const std::string& path, pid_t pid) {
  const std::string owner = pid > 0 ? " (pid " + std::to_string(pid) + ")" : "";
  return make_error(Errc::already_exists, path +
                                              " is the control socket of a system that is running" +
                                              owner + "; stop it with `bulkhead --control " + path +
                                              " shutdown`, or give this one another path");
}

Error no_socket_of_ours(const std::string& path, const std::string& what) {
  return make_error(Errc::already_exists, path + " is " + what +
                                              ", not a control socket that can be replaced; give "
                                              "another path, or move it away");
}

// Nothing, when nobody listens there: then the socket is left over from a system that was killed.
Result<void> expect_stale(const std::string& path, const sockaddr_un& address) {
  const base::UniqueFd probe{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!probe.is_open()) return errno_error(errno, "make a socket");
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const pid_t keeper = listener_of(probe.get());
    // A brain holds the socket, too, and dies a moment after its keeper.
    if (has_ended(keeper)) return {};
    return in_use(path, keeper);
  }
  if (errno == ECONNREFUSED || errno == ENOENT) return {};
  if (errno == EAGAIN) return in_use(path, 0);  // its queue is full, so there is one
  if (errno == EPROTOTYPE) return no_socket_of_ours(path, "a socket of another program");
  return errno_error(errno, "see whether somebody listens at " + path);
}

Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return errno_error(errno, "look at " + path);
  }
  if (S_ISDIR(status.st_mode)) return no_socket_of_ours(path, "a directory");
  if (S_ISLNK(status.st_mode)) return no_socket_of_ours(path, "a symbolic link");
  if (!S_ISSOCK(status.st_mode)) return no_socket_of_ours(path, "a file");
  if (auto stale = expect_stale(path, address); !stale) return stale;
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return errno_error(errno, "remove the stale socket " + path);
  }
  return {};
}

}  // namespace

Result<base::UniqueFd> listen_on(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  const auto lock = lock_directory_of(path);
  if (!lock) return lock.error();
  if (auto removed = remove_stale(path, *address); !removed) return removed.error();
  base::UniqueFd listener{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  if (!listener.is_open()) return errno_error(errno, "make the control socket");
  // Before bind: Linux gives the new inode the socket's mode, so it is never open to others.
  if (::fchmod(listener.get(), owner_only_file) != 0 ||
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return errno_error(errno, "make the control socket " + path);
  }
  if (::listen(listener.get(), listen_backlog) != 0) {
    const int failure = errno;
    (void)::unlink(path.c_str());
    return errno_error(failure, "listen on " + path);
  }
  return listener;
}

}  // namespace bulkhead::supervisor
