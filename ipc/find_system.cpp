#include "ipc/find_system.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include "base/runtime_dir.hpp"

namespace bulkhead::ipc {
namespace {

namespace fs = std::filesystem;

Error no_system(const std::string& what) {
  return make_error(Errc::no_system, what + "; start one with: bulkhead run CONFIG");
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return make_error(Errc::invalid_argument,
                      "control socket " + path + ": the path has more than " +
                          std::to_string(sizeof address.sun_path - 1) +
                          " bytes; set BULKHEAD_RUNTIME_DIR to a shorter one");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

// connect(2) on a unix socket waits while the listener's queue is full, up to SO_SNDTIMEO; there is
// nothing to poll for. In slices, so that a stop is seen.
Result<void> connect_until(int socket, const sockaddr_un& address, const std::string& path,
                           Deadline deadline) {
  for (;;) {
    if (deadline.stopped()) return make_error(Errc::stopped, "connecting to " + path);
    constexpr Deadline::clock::duration slice = std::chrono::milliseconds(100);
    const auto wait = std::clamp<Deadline::clock::duration>(deadline.remaining(),
                                                            std::chrono::milliseconds(1), slice);
    const timeval limit{0, std::chrono::duration_cast<std::chrono::microseconds>(wait).count()};
    if (::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
      return errno_error(errno, "connecting to " + path);
    }
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      return {};
    }
    switch (errno) {
      case EAGAIN:
      case EINTR: break;
      case ENOENT:
      case ENOTDIR:
      case ECONNREFUSED: return no_system("no system listens at " + path);
      case EACCES:
      case EPERM:
        return make_error(Errc::not_permitted, "control socket " + path +
                                                   " belongs to another user; ask as that user or "
                                                   "as root");
      case EPROTOTYPE: return no_system(path + " is a socket of something else");
      default: return errno_error(errno, "connecting to " + path);
    }
    if (deadline.expired()) {
      return make_error(Errc::timed_out,
                        "the supervisor at " + path + " does not take connections");
    }
  }
}

// Somebody else could lie in wait at a path in /tmp. For a listening socket these are the credentials
// of who called listen(2) (unix(7), SO_PEERCRED).
Result<void> check_owner(int socket, const std::string& path) {
  ucred owner{};
  socklen_t size = sizeof owner;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &owner, &size) != 0) {
    return errno_error(errno, "credentials of " + path);
  }
  const auto ours = ::geteuid();
  if (owner.uid == ours || owner.uid == 0 || ours == 0) return {};
  return make_error(Errc::not_permitted,
                    "user " + std::to_string(owner.uid) + " listens at " + path + ", not ours");
}

// Of a directory that is not there: none.
Result<std::vector<std::string>> sockets_in(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".sock") paths.push_back(at->path().string());
  }
  if (error == std::errc::permission_denied) {
    return make_error(Errc::not_permitted, "the runtime directory " + directory +
                                               " belongs to another user; ask as that user or as "
                                               "root, or set BULKHEAD_RUNTIME_DIR to your own");
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return errno_error(error.value(), "look for systems in " + directory);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

Result<base::UniqueFd> connect_control_socket(const std::string& path, Deadline deadline) {
  const auto address = address_of(path);
  if (!address) return address.error();
  base::UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  if (!socket.is_open()) return errno_error(errno, "make a socket");
  if (auto done = connect_until(socket.get(), *address, path, deadline); !done) return done.error();
  if (auto done = check_owner(socket.get(), path); !done) return done.error();
  return socket;
}

Result<std::string> find_control_socket(std::string_view name_or_path, Deadline deadline) {
  if (name_or_path.find('/') != std::string_view::npos) return std::string(name_or_path);
  const std::string directory = base::runtime_directory();
  if (!name_or_path.empty()) return base::control_socket_path(directory, name_or_path);

  std::vector<std::string> running;
  const auto paths = sockets_in(directory);
  if (!paths) return paths.error();
  std::optional<Error> refused;
  for (const auto& path : *paths) {
    const auto socket = connect_control_socket(path, deadline);
    if (socket) {
      running.push_back(path);
    } else if (socket.error().is(Errc::stopped) || socket.error().is(Errc::timed_out)) {
      return socket.error();
    } else if (socket.error().is(Errc::not_permitted)) {
      refused = socket.error();
    }
  }
  if (running.empty() && refused) return *refused;
  if (running.empty()) return no_system("no system is running (none listens in " + directory + ")");
  if (running.size() == 1) return running.front();
  std::string names;
  for (const auto& path : running) {
    names += (names.empty() ? "" : ", ") + fs::path(path).stem().string();
  }
  return make_error(Errc::invalid_argument,
                    "several systems are running: " + names + "; choose one with --name");
}

}  // namespace bulkhead::ipc
