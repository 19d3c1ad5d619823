// The web process's end of its control socket: where to serve, as each brain says anew. Used by bulkhead-web.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>

#include "base/fd.hpp"
#include "ipc/control_packet.hpp"
#include "supervisor/web_hosts.hpp"

namespace bulkhead::supervisor {

// Threads: the loop of `io`, which it stops when the socket ends: then there is no keeper any more.
class WebOrders {
 public:
  using Serve = std::function<Result<void>(base::UniqueFd listener, WebHosts)>;
  WebOrders(boost::asio::io_context& io, base::UniqueFd control, Serve);

 private:
  void await();
  Result<void> obey(ipc::Packet&);

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor control_;
  Serve serve_;
};

}  // namespace bulkhead::supervisor
