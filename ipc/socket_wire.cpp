#include "ipc/socket_wire.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>

namespace bulkhead::ipc {

bool IoStatus::blocked() const noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

// MSG_DONTWAIT and not O_NONBLOCK: the flag would stick to a descriptor that a fork shares.
IoStatus SocketWire::read(std::span<iovec> parts) noexcept {
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  for (;;) {
    const ssize_t n = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
    if (n >= 0) {
      return {static_cast<std::size_t>(n), 0, (message.msg_flags & MSG_TRUNC) != 0};
    }
    if (errno != EINTR) return {0, errno};
  }
}

IoStatus SocketWire::write(std::span<iovec> parts) noexcept {
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  for (;;) {
    const ssize_t n = ::sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) return {static_cast<std::size_t>(n), 0};
    if (errno != EINTR) return {0, errno};
  }
}

bool SocketWire::hung_up() const noexcept {
  pollfd look{fd_.get(), POLLRDHUP, 0};
  return ::poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void SocketWire::make_room(std::size_t bytes) noexcept {
  int effective = 0;
  socklen_t length = sizeof effective;
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &effective, &length) != 0) return;
  size_send_buffer(fd_.get(), static_cast<std::size_t>(effective) / 2 + bytes);
}

Result<void> check_socket(int fd, int family, int type) {
  int found[2] = {0, 0};
  const int options[2] = {SO_DOMAIN, SO_TYPE};
  for (int i = 0; i < 2; ++i) {
    socklen_t length = sizeof found[i];
    if (::getsockopt(fd, SOL_SOCKET, options[i], &found[i], &length) != 0) {
      return errno_error(errno, "descriptor " + std::to_string(fd) + " given as a link's socket");
    }
  }
  const bool family_fits = found[0] == family || (family == AF_INET && found[0] == AF_INET6);
  if (family_fits && found[1] == type) return {};
  return make_error(Errc::invalid_argument,
                    "descriptor " + std::to_string(fd) + " is a socket of another family or type");
}

// The kernel doubles the figure for its own book-keeping and caps it at net.core.wmem_max.
void size_send_buffer(int fd, std::size_t bytes) noexcept {
  const int wanted = static_cast<int>(std::min<std::size_t>(bytes, INT_MAX / 4));
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
}

}  // namespace bulkhead::ipc
