#include "ipc/topic_connections.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "ipc/epoch.hpp"

namespace bulkhead::ipc {

TopicConnections::TopicConnections(Transport transport, const ChannelOptions& options,
                                   base::UniqueFd bell)
    : transport_(transport), options_(options), bell_(std::move(bell)) {}

void TopicConnections::post(LinkUpdate update) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  const auto known = std::find_if(connections_.begin(), connections_.end(), [&](const auto& other) {
    return other->peer_epoch == update.epoch;
  });
  if (known != connections_.end() && !(*known)->wire->hung_up()) return;
  auto wire = open_wire(transport_, std::move(update.fds), options_);
  if (!wire) {
    ++violations_;
    return;
  }
  // A message that was dropped has a number, and no frame.
  FrameExpectation expected{std::max<std::size_t>(options_.max_message, 1), update.epoch, 0};
  expected.gaps = true;
  auto connection = std::make_shared<SocketConnection>(std::move(*wire), expected, pool_);
  if (known != connections_.end()) {
    *known = std::move(connection);
  } else {
    connections_.push_back(std::move(connection));
  }
}

TopicConnections::Connection TopicConnections::to(std::uint16_t peer) const {
  const std::lock_guard lock(mutex_);
  for (const auto& connection : connections_) {
    if (connection->peer_epoch == peer) return connection;
  }
  return nullptr;
}

void TopicConnections::forget(const Connection& connection) {
  const std::lock_guard lock(mutex_);
  std::erase(connections_, connection);
}

void TopicConnections::forget_before(std::uint16_t peer) {
  const std::lock_guard lock(mutex_);
  std::erase_if(connections_,
                [&](const auto& connection) { return is_newer(peer, connection->peer_epoch); });
}

void TopicConnections::close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  connections_.clear();
}

void TopicConnections::ring() noexcept {
  if (bell_.is_open()) static_cast<void>(::eventfd_write(bell_.get(), 1));
}

std::uint64_t TopicConnections::violations() const {
  const std::lock_guard lock(mutex_);
  return violations_;
}

}  // namespace bulkhead::ipc
