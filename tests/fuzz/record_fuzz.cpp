// The record decoder: the input is what a producer wrote into its ring.
#include <algorithm>
#include <cstring>

#include "ipc/lane_consumer.hpp"
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/support/plain_lane.hpp"

using bulkhead::ipc::LaneConsumer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t capacity = 4096;
  bulkhead::test::PlainLane lane(capacity);
  const std::vector<std::byte> slabs(2048);
  std::memcpy(lane.ring().data(), data, std::min(size, capacity));
  LaneConsumer consumer(lane.ring(), size % capacity, 0, slabs);
  LaneConsumer::Record record;
  std::uint64_t position = consumer.position();
  while (consumer.poll(record) == LaneConsumer::Found::record) {
    const auto inside = [&](std::span<const std::byte> memory) {
      return record.bytes.data() >= memory.data() &&
             record.bytes.data() + record.bytes.size() <= memory.data() + memory.size();
    };
    BULKHEAD_ASSERT(inside(lane.ring()) || inside(slabs));
    BULKHEAD_ASSERT(record.end > position && record.end == consumer.position());
    position = record.end;
    if (position > 4 * capacity) break;  // the same lap again
  }
  return 0;
}
