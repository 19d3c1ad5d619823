// The control socket's server side: who may connect, hello, requests in, answers out. Knows no method
// beyond hello: requests go to ControlApi. Used by the brain.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "ipc/control_protocol.hpp"
#include "supervisor/control_port.hpp"

namespace bulkhead::supervisor {

using ClientId = std::uint64_t;

struct ClientRequest {
  ClientId client = 0;
  std::uint64_t id = 0;  // 0: a notification, never answered
  std::string method;
  ipc::Json params;
  std::int32_t pid = 0;  // of the client
};

// Serves our own uid and root only (SO_PEERCRED). A client that breaks the protocol, or does not
// read its answers, is disconnected. Threads: the brain's loop.
class ControlServer {
 public:
  struct Callbacks {
    std::function<void(ClientRequest)> request;
    std::function<void(ClientId)> gone;
  };

  // `listener` is a listening SOCK_SEQPACKET socket.
  ControlServer(boost::asio::io_context&, base::UniqueFd listener, ipc::HelloClientAnswer identity,
                Callbacks);

  // All of these ignore clients that have gone.
  void answer(ClientId, std::uint64_t id, ipc::Json value, std::span<const int> fds = {});
  void fail(ClientId, std::uint64_t id, const Error&);
  void notify(ClientId, std::string_view method, ipc::Json params);

 private:
  struct Client {
    std::unique_ptr<ControlPort> port;
    std::int32_t pid = 0;
    bool greeted = false;
  };

  void await_clients();
  bool accept_clients();
  void drop_the_longest_silent();
  void received(ClientId, ipc::Packet);
  void greet(ClientId, Client&, std::uint64_t id, const ipc::Json& params);
  void drop(ClientId);

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor listener_;
  boost::asio::steady_timer pause_;
  ipc::HelloClientAnswer identity_;
  Callbacks callbacks_;
  std::map<ClientId, Client> clients_;
  ClientId next_client_ = 1;
};

}  // namespace bulkhead::supervisor
