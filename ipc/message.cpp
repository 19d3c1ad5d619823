#include <bulkhead/message.hpp>

#include <exception>
#include <utility>

#include "ipc/endpoint.hpp"

namespace bulkhead {

Message::Message(Message&& other) noexcept
    : endpoint_(std::exchange(other.endpoint_, nullptr)),
      bytes_(std::exchange(other.bytes_, {})),
      position_(other.position_),
      index_(other.index_),
      uncaught_(other.uncaught_),
      epoch_(other.epoch_),
      redelivered_(other.redelivered_) {}

Message& Message::operator=(Message&& other) noexcept {
  if (this != &other) {
    settle();
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

Message::~Message() { settle(); }

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
  if (endpoint == nullptr) return;
  if (std::uncaught_exceptions() > uncaught_) {
    endpoint->release(position_);
  } else {
    endpoint->acknowledge(position_);
  }
  endpoint->end_view();
}

namespace ipc {

Endpoint::~Endpoint() {
  // relaxed: whoever deletes came here through the acquire of endpoint.views, or owns it alone.
  BULKHEAD_ASSERT((views_.load(std::memory_order_relaxed) & ~orphaned) == 0);
}

void Endpoint::end_view() noexcept {
  // sync endpoint.views: acq_rel; pairs with owners_left(); hands the endpoint to whoever comes last
  if (views_.fetch_sub(1, std::memory_order_acq_rel) == (orphaned | 1U)) delete this;
}

void Endpoint::owners_left() noexcept {
  // sync endpoint.views: acq_rel; pairs with end_view(); hands the endpoint to whoever comes last
  if (views_.fetch_or(orphaned, std::memory_order_acq_rel) == 0) delete this;
}

Message Endpoint::make_message(const MessageParts& parts) {
  Message message;
  // relaxed: only the receiving thread counts up, and never while the last owner leaves, since it
  // receives through an owner; so this needs no read-modify-write.
  views_.store(views_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  message.endpoint_ = this;
  message.bytes_ = parts.bytes;
  message.position_ = parts.position;
  message.index_ = parts.index;
  message.uncaught_ = std::uncaught_exceptions();
  message.epoch_ = parts.epoch;
  message.redelivered_ = parts.redelivered;
  return message;
}

}  // namespace ipc
}  // namespace bulkhead
