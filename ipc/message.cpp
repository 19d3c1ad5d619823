#include <bulkhead/message.hpp>

#include <utility>

#include "ipc/endpoint.hpp"

namespace bulkhead {

Message& Message::operator=(Message&& other) noexcept {
  if (this != &other) {
    if (endpoint_ != nullptr) settle();
    endpoint_ = std::exchange(other.endpoint_, nullptr);
    bytes_ = std::exchange(other.bytes_, {});
    position_ = other.position_;
    index_ = other.index_;
    uncaught_ = other.uncaught_;
    epoch_ = other.epoch_;
    redelivered_ = other.redelivered_;
  }
  return *this;
}

void Message::acknowledge() noexcept {
  bytes_ = {};
  auto* const endpoint = std::exchange(endpoint_, nullptr);
  if (endpoint == nullptr) return;
  endpoint->acknowledge(position_);
  endpoint->end_view();
}

void Message::release() noexcept {
  bytes_ = {};
  auto* const endpoint = std::exchange(endpoint_, nullptr);
  if (endpoint == nullptr) return;
  endpoint->release(position_);
  endpoint->end_view();
}

// An exception that began after the message was received means that its work was not done.
void Message::settle() noexcept {
  auto* const endpoint = std::exchange(endpoint_, nullptr);
  if (ipc::uncaught_exceptions() > uncaught_) {
    endpoint->release(position_);
  } else {
    endpoint->acknowledge(position_);
  }
  endpoint->end_view();
}

namespace ipc {

// Where nobody tells of deaths, none is certain.
Result<void> Endpoint::send_batch(MessageBatch, Deadline) {
  return make_error(Errc::unsupported, spec().link + ": no batches here; send one by one");
}

bool Endpoint::peer_is_dead(std::uint16_t) const noexcept { return false; }

int Endpoint::handle() noexcept {
  if (lookout_ == nullptr) {
    auto made = Lookout::open();
    if (!made) return -1;
    lookout_ = std::move(*made);
    watch();
  }
  return lookout_->fd();
}

void Endpoint::watch() noexcept {
  if (prepare_receive_wait()) {
    lookout_->look();
  } else {
    const auto& attention = spec().attention;
    lookout_->watch(receive_plan().fd, attention ? attention->fd() : -1);
  }
}

// It may have been the supervisor's descriptor that was readable.
void Endpoint::end_watch() noexcept {
  if (!lookout_->is_watching()) return;
  finish_receive_wait();
  if (const auto& attention = spec().attention) attention->service();
}

Endpoint::~Endpoint() {
  // relaxed: whoever deletes came here through the acquire of endpoint.views, or owns it alone.
  BULKHEAD_ASSERT((views_.load(std::memory_order_relaxed) & ~orphaned) == 0);
}

}  // namespace ipc
}  // namespace bulkhead
