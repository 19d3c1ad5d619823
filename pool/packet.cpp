#include "pool/packet.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace bulkhead::pool {

Result<void> send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> fds,
                         bool wait) {
  BULKHEAD_ASSERT(fds.size() <= packet_fds_max);
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(packet_fds_max * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(head), fds.data(), fds.size() * sizeof(int));
  }
  for (;;) {
    if (::sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) >= 0) return {};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return make_error(Errc::would_block, "the queue to the pool's other end is full");
    if (errno == EPIPE || errno == ECONNRESET)
      return make_error(Errc::closed, "the pool's other end");
    return errno_error(errno, "send to the pool's other end");
  }
}

Result<std::optional<Packet>> receive_packet(int socket, std::span<std::byte> buffer, bool wait) {
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(packet_fds_max * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::optional<Packet>();
  if (got == 0 || (got < 0 && errno == ECONNRESET)) {
    return make_error(Errc::closed, "the pool's other end");
  }
  if (got < 0) return errno_error(errno, "receive from the pool's other end");
  Packet packet{static_cast<std::size_t>(got), {}};
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
       head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
      packet.fds.emplace_back(fd);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return make_error(Errc::protocol_violation, "a packet of the pool's other end is too long");
  }
  return std::optional<Packet>(std::move(packet));
}

}  // namespace bulkhead::pool
