// A fresh connection for a pair of incarnations, made by the brain or by connected_pair().
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "ipc/endpoint.hpp"
#include "ipc/shm_endpoint.hpp"

namespace bulkhead::ipc {
namespace {

SocketEnds one_each(base::FdPair pair) {
  SocketEnds ends;
  ends.from.push_back(std::move(pair.first));
  ends.to.push_back(std::move(pair.second));
  return ends;
}

Result<SocketEnds> make_unix_ends() {
  auto pair = base::make_socketpair(SOCK_SEQPACKET);
  if (!pair) return pair.error();
  return one_each(std::move(*pair));
}

Result<SocketEnds> make_pipe_ends() {
  auto forth = base::make_pipe();
  if (!forth) return forth.error();
  auto back = base::make_pipe();
  if (!back) return back.error();
  SocketEnds ends;
  ends.from.push_back(std::move(back->first));
  ends.from.push_back(std::move(forth->second));
  ends.to.push_back(std::move(forth->first));
  ends.to.push_back(std::move(back->second));
  return ends;
}

Result<base::UniqueFd> make_tcp_socket() {
  base::UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd.is_open()) return errno_error(errno, "make a tcp socket");
  return fd;
}

Result<sockaddr_in> address_of(int fd) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return errno_error(errno, "read the address of a loopback socket");
  }
  return address;
}

Result<base::UniqueFd> listen_on_loopback() {
  auto listener = make_tcp_socket();
  if (!listener) return listener;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener->get(), 8) != 0) {
    return errno_error(errno, "listen on the loopback interface");
  }
  return listener;
}

// Any process of the machine may connect to the port while it is open: only the connection that
// comes from our own address is ours.
Result<base::UniqueFd> accept_from(int listener, const sockaddr_in& expected) {
  for (;;) {
    sockaddr_in from{};
    socklen_t length = sizeof from;
    base::UniqueFd fd{
        ::accept4(listener, reinterpret_cast<sockaddr*>(&from), &length, SOCK_CLOEXEC)};
    if (!fd.is_open()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return errno_error(errno, "accept the loopback connection of a link");
    }
    if (from.sin_port == expected.sin_port && from.sin_addr.s_addr == expected.sin_addr.s_addr) {
      return fd;
    }
  }
}

Result<SocketEnds> make_tcp_ends() {
  auto listener = listen_on_loopback();
  if (!listener) return listener.error();
  auto target = address_of(listener->get());
  if (!target) return target.error();
  auto connector = make_tcp_socket();
  if (!connector) return connector.error();
  // On loopback the connection is complete when connect() returns, before anybody accepts it.
  while (::connect(connector->get(), reinterpret_cast<const sockaddr*>(&*target), sizeof *target) !=
         0) {
    if (errno == EISCONN) break;
    if (errno != EINTR && errno != EALREADY) {
      return errno_error(errno, "connect over the loopback interface");
    }
  }
  auto own = address_of(connector->get());
  if (!own) return own.error();
  auto accepted = accept_from(listener->get(), *own);
  if (!accepted) return accepted.error();
  return one_each({std::move(*connector), std::move(*accepted)});
}

// A connection carries messages only: who waits for room in its window is woken beside it.
Result<SocketEnds> with_doorbell(Result<SocketEnds> ends) {
  if (!ends) return ends;
  auto bell = base::make_socketpair(SOCK_STREAM);
  if (!bell) return bell.error();
  ends->from.push_back(std::move(bell->first));
  ends->to.push_back(std::move(bell->second));
  return ends;
}

}  // namespace

Result<SocketEnds> make_sockets(Transport transport) {
  switch (transport) {
    case Transport::shm: return make_doorbells();
    case Transport::unix_socket: return with_doorbell(make_unix_ends());
    case Transport::tcp: return with_doorbell(make_tcp_ends());
    case Transport::pipe: return with_doorbell(make_pipe_ends());
  }
  return make_error(Errc::invalid_argument, "unknown transport");
}

}  // namespace bulkhead::ipc
