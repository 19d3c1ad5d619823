#include "supervisor/web_orders.hpp"

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "ipc/control_protocol.hpp"
#include "supervisor/web_protocol.hpp"

namespace bulkhead::supervisor {

WebOrders::WebOrders(boost::asio::io_context& io, base::UniqueFd control, Serve serve)
    : io_(io), control_(io, control.release()), serve_(std::move(serve)) {
  await();
}

void WebOrders::await() {
  control_.async_wait(control_.wait_read, [this](const auto& error) {
    if (error) return;
    for (;;) {
      auto packet = ipc::receive_packet(control_.native_handle());
      if (!packet) return io_.stop();
      if (!packet->has_value()) return await();
      if (const auto obeyed = obey(**packet); !obeyed) {
        std::fprintf(stderr, "bulkhead-web: %s\n", obeyed.error().to_string().c_str());
      }
    }
  });
}

Result<void> WebOrders::obey(ipc::Packet& packet) {
  const auto message = ipc::read_message(packet.body);
  if (!message) return message.error();
  if (message->method != web_method::serve) return {};  // of a newer brain
  std::vector<std::string> hosts;
  ipc::FieldReader in(message->method, *message->content);
  if (in.required("hosts", hosts).failed()) return in.error();
  auto listener = ipc::fd_named(packet, "listener");
  if (!listener) return listener.error();
  return serve_(std::move(*listener), WebHosts(std::move(hosts)));
}

}  // namespace bulkhead::supervisor
