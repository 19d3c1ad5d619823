// bulkhead-web: `bulkhead-web --control PATH`, with its control socket in BULKHEAD_CONTROL_FD. Started by the brain
// where the config says `supervisor.http`.
#include <boost/asio/io_context.hpp>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "supervisor/web_orders.hpp"
#include "supervisor/web_rights.hpp"
#include "supervisor/web_server.hpp"

namespace {

int control_fd() {
  const char* text = std::getenv("BULKHEAD_CONTROL_FD");
  int fd = -1;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), fd);
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace bulkhead;
  base::UniqueFd control(control_fd());
  const bool has_path = argc == 3 && std::string_view(argv[1]) == "--control";
  if (!has_path || !control.is_open() || !base::set_cloexec(control.get(), true)) {
    std::fprintf(stderr, "bulkhead-web: no control socket (it is started by `bulkhead run`)\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  for (const auto& kept : supervisor::drop_rights()) {
    std::fprintf(stderr, "bulkhead-web: could not give up: %s\n", kept.to_string().c_str());
  }
  supervisor::WebFeed feed(argv[2]);
  boost::asio::io_context io(1);
  supervisor::WebServer server(io, feed);
  const supervisor::WebOrders orders(io, std::move(control),
                                     [&](base::UniqueFd listener, supervisor::WebHosts hosts) {
                                       return server.serve(std::move(listener), std::move(hosts));
                                     });
  io.run();
  std::quick_exit(0);  // the feed may be waiting for a brain that is gone
}
