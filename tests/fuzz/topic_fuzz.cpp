// The decoder of a topic's lane: the input is what a publisher wrote into its end page and its ring.
//
//   0           8        16                   24                                    32
//   | reclaimed | newest | committed position | count, line to start at, history,   | ring … |
//   |           |        |                    | conflates: a byte each              |
#include <algorithm>
#include <cstring>

#include "ipc/topic_consumer.hpp"
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/support/plain_lane.hpp"

using bulkhead::ipc::TopicConsumer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t capacity = 4096, head = 32;
  if (size < head) return 0;
  std::uint64_t words[3];
  std::memcpy(words, data, sizeof words);
  bulkhead::test::PlainLane lane(capacity);
  std::memcpy(lane.ring().data(), data + head, std::min(size - head, capacity));
  lane.page().reclaimed = words[0];
  lane.page().newest = words[1];
  bulkhead::ipc::store_committed(lane.page(), {words[2], data[24]});
  TopicConsumer consumer(lane.page(), lane.ring(),
                         {.position = std::uint64_t{data[25]} * 64,
                          .history = data[26],
                          .conflates = data[27] % 2 == 1});
  TopicConsumer::Message message;
  std::uint64_t last = 0;
  while (consumer.poll(message) == TopicConsumer::Found::message) {
    BULKHEAD_ASSERT(message.number > last);
    BULKHEAD_ASSERT(message.bytes <= 8 * message.words.size());
    BULKHEAD_ASSERT(message.bytes <= bulkhead::ipc::topic_payload_max(capacity));
    BULKHEAD_ASSERT(message.end == consumer.position());
    last = message.number;  // grows, and the ring does not change: one lap at the most
  }
  return 0;
}
