// Messages that are committed together: what a batch is, and whether it can be sent at all. Used by the lane's
// producer and by the endpoints that send through one.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <span>

namespace bulkhead::ipc {

struct EndSpec;
using MessageBatch = std::span<const std::span<const std::byte>>;

constexpr std::size_t payload_bytes(MessageBatch messages) noexcept {
  std::size_t bytes = 0;
  for (const auto& message : messages) bytes += message.size();
  return bytes;
}

// Whether each is within the channel's max_message, and all fit an empty ring at every offset.
// Errors: message_too_big.
Result<void> check_batch(const EndSpec&, MessageBatch, std::size_t ring_capacity);

}  // namespace bulkhead::ipc
