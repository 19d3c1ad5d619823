#include "supervisor/control_server.hpp"

#include <sys/socket.h>
#include <unistd.h>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t clients_max = 256;
constexpr std::chrono::milliseconds without_descriptors{100};  // until somebody may have closed one

// The pid of one who may command us; nullopt for everybody else.
std::optional<std::int32_t> commander(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  if (peer.uid != ::geteuid() && peer.uid != 0) return std::nullopt;
  return peer.pid;
}

}  // namespace

ControlServer::ControlServer(boost::asio::io_context& io, base::UniqueFd listener,
                             ipc::HelloClientAnswer identity, Callbacks callbacks)
    : io_(io),
      listener_(io, listener.release()),
      pause_(io),
      identity_(std::move(identity)),
      callbacks_(std::move(callbacks)) {
  await_clients();
}

void ControlServer::await_clients() {
  listener_.async_wait(listener_.wait_read, [this](const auto& error) {
    if (error) return;
    if (accept_clients()) return await_clients();
    pause_.expires_after(without_descriptors);
    pause_.async_wait([this](const auto& cancelled) {
      if (!cancelled) await_clients();
    });
  });
}

// False when we have no descriptor for whoever waits: to look again at once would be all that we did.
bool ControlServer::accept_clients() {
  for (;;) {
    // The listener lies in the keeper's store and is non-blocking since its creation.
    base::UniqueFd socket{
        ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!socket.is_open()) return errno != EMFILE && errno != ENFILE && errno != ENOMEM;
    const auto pid = commander(socket.get());
    if (!pid) {
      (void)ipc::send_packet(
          socket.get(),
          ipc::error_answer(
              0, make_error(Errc::not_permitted,
                            "only the user that runs the system, and root, may command it")));
      continue;
    }
    if (clients_.size() >= clients_max) drop_the_longest_silent();
    if (clients_.size() >= clients_max) {
      (void)ipc::send_packet(
          socket.get(),
          ipc::error_answer(
              0, make_error(Errc::out_of_budget, "more than 256 clients at once; close some")));
      continue;
    }
    const ClientId id = next_client_++;
    clients_[id].pid = *pid;
    clients_[id].port = std::make_unique<ControlPort>(
        io_, std::move(socket),
        ControlPort::Callbacks{[this, id](ipc::Packet packet) { received(id, std::move(packet)); },
                               [this, id](const Error&) { drop(id); }, [] {}});
  }
}

// Who has never said hello makes room for somebody who may. At once, unlike drop(): none of its callbacks runs now.
void ControlServer::drop_the_longest_silent() {
  const auto silent = std::find_if(clients_.begin(), clients_.end(),
                                   [](const auto& client) { return !client.second.greeted; });
  if (silent == clients_.end()) return;
  const ClientId id = silent->first;
  clients_.erase(silent);
  callbacks_.gone(id);
}

void ControlServer::received(ClientId id, ipc::Packet packet) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  Client& client = found->second;
  const auto message = ipc::read_message(packet.body);
  if (!message || message->is_answer()) return drop(id);
  if (message->method == ipc::method::hello) {
    return greet(id, client, message->id, *message->content);
  }
  if (!client.greeted) {
    return fail(id, message->id, make_error(Errc::protocol_violation, "say hello first"));
  }
  callbacks_.request(
      {id, message->id, std::string(message->method), *message->content, client.pid});
}

void ControlServer::greet(ClientId id, Client& client, std::uint64_t request,
                          const ipc::Json& params) {
  const auto hello = ipc::decode<ipc::HelloClient>(params);
  if (!hello) return fail(id, request, hello.error());
  if (const auto same = ipc::check_versions(hello->versions, "the client"); !same) {
    return fail(id, request, same.error());
  }
  client.greeted = true;
  answer(id, request, ipc::encode(identity_));
}

void ControlServer::answer(ClientId id, std::uint64_t request, ipc::Json value,
                           std::span<const int> fds) {
  const auto found = clients_.find(id);
  if (found != clients_.end() && request != 0) {
    found->second.port->send(ipc::result(request, std::move(value)), fds);
  }
}

void ControlServer::fail(ClientId id, std::uint64_t request, const Error& error) {
  const auto found = clients_.find(id);
  if (found != clients_.end() && request != 0) {
    found->second.port->send(ipc::error_answer(request, error));
  }
}

void ControlServer::notify(ClientId id, std::string_view method, ipc::Json params) {
  const auto found = clients_.find(id);
  if (found != clients_.end()) {
    found->second.port->send(ipc::notification(method, std::move(params)));
  }
}

// Later, because the port may be in the middle of a call to us.
void ControlServer::drop(ClientId id) {
  boost::asio::post(io_, [this, id] {
    if (clients_.erase(id) != 0) callbacks_.gone(id);
  });
}

}  // namespace bulkhead::supervisor
