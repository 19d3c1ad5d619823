#include <bulkhead/message.hpp>

#include <exception>
#include <utility>

#include "ipc/endpoint.hpp"

namespace bulkhead {

Message::Message(Message&& other) noexcept
    : endpoint_(std::move(other.endpoint_)),
      bytes_(std::exchange(other.bytes_, {})),
      position_(other.position_),
      index_(other.index_),
      uncaught_(other.uncaught_),
      epoch_(other.epoch_),
      redelivered_(other.redelivered_) {}

Message& Message::operator=(Message&& other) noexcept {
  if (this != &other) {
    settle();
    endpoint_ = std::move(other.endpoint_);
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
  if (const auto endpoint = std::exchange(endpoint_, nullptr)) endpoint->acknowledge(position_);
  bytes_ = {};
}

// An exception that began after the message was received means that its work was not done.
void Message::settle() noexcept {
  const auto endpoint = std::exchange(endpoint_, nullptr);
  if (!endpoint) return;
  if (std::uncaught_exceptions() > uncaught_) {
    endpoint->release(position_);
  } else {
    endpoint->acknowledge(position_);
  }
}

namespace ipc {

Message Endpoint::make_message(const MessageParts& parts) {
  Message message;
  message.endpoint_ = shared_from_this();
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
