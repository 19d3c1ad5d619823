#include "supervisor/port_probes.hpp"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

namespace bulkhead::supervisor {

using boost::asio::ip::tcp;

struct PortProbes::Probe : std::enable_shared_from_this<Probe> {
  Probe(boost::asio::io_context& io, std::uint16_t port, std::function<void()> on_answer)
      : socket(io),
        timer(io),
        target(boost::asio::ip::address_v4::loopback(), port),
        answered(std::move(on_answer)) {}

  void ask() {
    socket.async_connect(target, [self = shared_from_this()](const auto& error) {
      if (self->cancelled) return;
      boost::system::error_code ignored;
      self->socket.close(ignored);
      if (!error) return self->answered();
      self->wait();
    });
  }

  void wait() {
    timer.expires_after(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(100));
    timer.async_wait([self = shared_from_this()](const auto& error) {
      if (!error && !self->cancelled) self->ask();
    });
  }

  void cancel() {
    cancelled = true;
    timer.cancel();
    boost::system::error_code ignored;
    socket.close(ignored);
  }

  tcp::socket socket;
  boost::asio::steady_timer timer;
  tcp::endpoint target;
  std::function<void()> answered;
  std::chrono::milliseconds pause{5};
  bool cancelled = false;
};

PortProbes::PortProbes(boost::asio::io_context& io, std::function<void(Slot, Generation)> answered)
    : io_(io), answered_(std::move(answered)) {}

PortProbes::~PortProbes() {
  while (!probes_.empty()) cancel(probes_.begin()->first);
}

void PortProbes::begin(Slot slot, Generation generation, std::uint16_t port) {
  cancel(slot);
  const auto probe = std::make_shared<Probe>(io_, port, [this, slot, generation] {
    cancel(slot);
    answered_(slot, generation);
  });
  probes_[slot] = probe;
  probe->ask();
}

void PortProbes::cancel(Slot slot) {
  const auto found = probes_.find(slot);
  if (found == probes_.end()) return;
  const auto probe = found->second;  // its completion may be what calls us
  probes_.erase(found);
  probe->cancel();
}

}  // namespace bulkhead::supervisor
