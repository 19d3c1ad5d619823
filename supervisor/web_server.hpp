// Serves the pages of the web process over HTTP/1.1. All bytes from the network are read here, by Boost.Beast, and
// nowhere else; who is slow, idle or too long is shown out. Used by bulkhead-web; asks the feed, knows no brain.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "base/fd.hpp"
#include "supervisor/web_feed.hpp"
#include "supervisor/web_hosts.hpp"

namespace bulkhead::supervisor {

// Threads: the loop of `io`. Bounds: web_limits.
class WebServer {
 public:
  WebServer(boost::asio::io_context& io, WebFeed&);
  ~WebServer();

  // Listens there from now on, and no longer where it did; who is connected stays so.
  Result<void> serve(base::UniqueFd listener, WebHosts);

  struct State;  // known to web_server.cpp alone

 private:
  std::shared_ptr<State> state_;
};

// docs/metrics.md says these, too.
namespace web_limits {
inline constexpr std::size_t connections = 64;  // one more: who has been silent for longest goes
inline constexpr std::uint32_t header_bytes = 8192;  // of a request: line and fields
inline constexpr std::chrono::seconds to_ask{
    5};  // from the connection, or the last answer, to a whole request
inline constexpr std::chrono::seconds to_listen{10};  // for taking an answer in
}  // namespace web_limits

}  // namespace bulkhead::supervisor
