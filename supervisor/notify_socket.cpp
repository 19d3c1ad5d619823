#include "supervisor/notify_socket.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "supervisor/notify_message.hpp"

// Linux 6.5; Debian 12 has older headers.
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t descriptors_max = 253;  // SCM_MAX_FD of the kernel

// Else whoever closes it last, which may be the keeper or us, waits for its peer (socket(7), SO_LINGER).
void close_without_waiting(int fd) {
  const linger off{};
  (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);  // fails where it is no socket
}

void take_control(const cmsghdr& header, NotifyDatagram& into) {
  const auto* from = CMSG_DATA(&header);
  const std::size_t bytes = header.cmsg_len - CMSG_LEN(0);
  if (header.cmsg_level != SOL_SOCKET) return;
  if (header.cmsg_type == SCM_RIGHTS) {
    for (std::size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, from + at, sizeof fd);
      close_without_waiting(fd);
      into.fds.emplace_back(fd);
    }
  } else if (header.cmsg_type == SCM_CREDENTIALS && bytes >= sizeof(ucred)) {
    ucred sender{};
    std::memcpy(&sender, from, sizeof sender);
    into.pid = sender.pid;
    into.uid = sender.uid;
  } else if (header.cmsg_type == SCM_PIDFD && bytes >= sizeof(int)) {
    int fd = -1;
    std::memcpy(&fd, from, sizeof fd);
    if (fd >= 0) into.pidfd.reset(fd);  // below 0: it was reaped before we looked
  }
}

}  // namespace

Result<base::UniqueFd> open_notify_socket(const std::string& address) {
  const auto fail = [&](const char* what) {
    return errno_error(errno, std::string(what) + " " + address);
  };
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.size() > sizeof name.sun_path) {
    return make_error(Errc::invalid_argument,
                      "the notify socket's address " + address + " is too long");
  }
  std::memcpy(name.sun_path, address.data(), address.size());
  name.sun_path[0] = '\0';
  base::UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket.is_open()) return fail("make the notify socket");
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    return fail("ask for the credentials of who writes to");
  }
  // An older kernel has it not: then /proc alone tells whose a process is.
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    return fail("bind the notify socket");
  }
  return socket;
}

std::string notify_address(int socket) {
  sockaddr_un name{};
  socklen_t size = sizeof name;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&name), &size) != 0) return "";
  std::string address(name.sun_path, size - offsetof(sockaddr_un, sun_path));
  if (!address.empty()) address[0] = '@';
  return address;
}

std::optional<NotifyDatagram> peek_datagram(int socket) {
  std::array<char, notify_bytes_max> bytes;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int)) +
                                        CMSG_SPACE(sizeof(int) * descriptors_max)>
      control;
  iovec into{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = 0;
  do {
    n = ::recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return std::nullopt;
  NotifyDatagram datagram;
  datagram.text.assign(bytes.data(), static_cast<std::size_t>(n));
  datagram.is_cut = (message.msg_flags & MSG_TRUNC) != 0;
  datagram.lost_fds = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    take_control(*at, datagram);
  }
  return datagram;
}

void drop_datagram(int socket) {
  char ignored = 0;
  while (::recv(socket, &ignored, sizeof ignored, MSG_DONTWAIT) < 0 && errno == EINTR) {
  }
}

bool is_gone(const NotifyDatagram& datagram) {
  if (datagram.pid <= 0) return true;
  const long rc = datagram.pidfd.is_open()
                      ? ::syscall(SYS_pidfd_send_signal, datagram.pidfd.get(), 0, nullptr, 0)
                      : ::kill(datagram.pid, 0);
  return rc != 0 && errno == ESRCH;
}

}  // namespace bulkhead::supervisor
