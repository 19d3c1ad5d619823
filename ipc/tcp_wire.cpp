// tcp: a loopback stream without Nagle's delay, because a message must not wait for the next one.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "ipc/socket_wire.hpp"

namespace bulkhead::ipc {

Result<std::unique_ptr<Wire>> open_tcp_wire(base::UniqueFd fd, const ChannelOptions& options) {
  if (auto fits = check_socket(fd.get(), AF_INET, SOCK_STREAM); !fits) return fits.error();
  const int on = 1;
  if (::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
    return errno_error(errno, "set TCP_NODELAY on a link's socket");
  }
  size_send_buffer(fd.get(), options.capacity);
  const int receive = static_cast<int>(std::min<std::size_t>(options.capacity, INT_MAX / 4));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive);
  // What a dead peer had written may still be in its socket when the kernel reports the death; on
  // loopback it follows as soon as we make room. The end of the stream normally tells; this is for
  // a descriptor that a grandchild of the peer holds open.
  const SocketWire::Traits traits{false, std::chrono::milliseconds(100)};
  return std::unique_ptr<Wire>(std::make_unique<SocketWire>(std::move(fd), traits));
}

}  // namespace bulkhead::ipc
