#include "bench/others/supervisors/child.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/clock.hpp"
#include "base/fd.hpp"

namespace bulkhead::bench::others {

int run_child() {
  const char* path = ::getenv(child_socket_variable);
  const char* owner = ::getenv(child_owner_variable);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr || owner == nullptr || std::strlen(path) >= sizeof address.sun_path) return 2;
  std::strcpy(address.sun_path, path);
  const base::UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const ChildNews news{base::monotonic_ns(), ::getpid()};
  if (::sendto(socket.get(), &news, sizeof news, 0, reinterpret_cast<const sockaddr*>(&address),
               sizeof address) != sizeof news) {
    return 1;
  }
  if (const char* ready_fd = ::getenv(child_ready_fd_variable)) {
    if (::write(std::atoi(ready_fd), "\n", 1) != 1) return 1;
  }
  const auto life = base::open_pidfd(std::atoi(owner));
  if (!life) return 1;
  pollfd entry{life->get(), POLLIN, 0};
  while (::poll(&entry, 1, -1) < 0) {
  }
  return 0;
}

}  // namespace bulkhead::bench::others
