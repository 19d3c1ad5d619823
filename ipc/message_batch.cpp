#include "ipc/message_batch.hpp"

#include <algorithm>

#include "ipc/endpoint.hpp"
#include "ipc/lane_record.hpp"

namespace bulkhead::ipc {

// Padding before one of them is a line shorter than that one, and one line of the ring must stay free.
Result<void> check_batch(const EndSpec& spec, MessageBatch messages, std::size_t ring_capacity) {
  const std::size_t most = spec.options.max_message;
  std::uint64_t all = 0, largest = 0;
  for (const auto& message : messages) {
    if (message.size() > most) {
      return make_error(Errc::message_too_big, spec.link + ": " + std::to_string(message.size()) +
                                                   " bytes, max_message is " +
                                                   std::to_string(most));
    }
    all += record_bytes(message.size());
    largest = std::max(largest, record_bytes(message.size()));
  }
  if (all + largest <= ring_capacity) return {};
  return make_error(Errc::message_too_big, spec.link + ": a batch of " +
                                               std::to_string(messages.size()) +
                                               " messages does not fit a capacity of " +
                                               std::to_string(ring_capacity) + "; send fewer");
}

}  // namespace bulkhead::ipc
