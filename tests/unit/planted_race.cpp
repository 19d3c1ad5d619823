// A lane whose commit is not a release: the thread sanitizer must find the race, or a build with it proves
// nothing about the real one. Built with that sanitizer only; ctest wants to read its report.
#include <cstddef>
#include <thread>

#include "ipc/lane_consumer.hpp"
#include "ipc/lane_record.hpp"
#include "tests/support/plain_lane.hpp"

int main() {
  using namespace bulkhead::ipc;
  bulkhead::test::PlainLane lane(4096);
  std::thread producer([&] {
    // Byte by byte: g++ does not instrument a memset of known size.
    for (std::byte& byte : lane.ring().subspan(record_header_bytes, 48)) byte = std::byte{1};
    // relaxed: on purpose; the payload is not published with it.
    lane.head(0).store(pack(RecordHeader{RecordKind::data, 48, 1}), std::memory_order_relaxed);
  });
  LaneConsumer in(lane.ring(), 0, 0);
  LaneConsumer::Record record;
  while (in.poll(record) != LaneConsumer::Found::record) std::this_thread::yield();
  int sum = 0;
  for (const std::byte byte : record.bytes) sum += std::to_integer<int>(byte);
  producer.join();
  return sum == 48 ? 0 : 1;
}
