// A lane whose commit is not a release: the thread sanitizer must find the race, or a build with it proves
// nothing about the real one. Built with that sanitizer only; ctest wants to read its report.
#include <cstring>
#include <string>
#include <thread>

#include "ipc/lane_consumer.hpp"
#include "ipc/lane_record.hpp"
#include "tests/support/plain_lane.hpp"

// Copies of a size known at run time only: what the compiler expands itself is not instrumented, and single
// bytes push one another out of the sanitizer's memory.
int main(int, char** arguments) {
  using namespace bulkhead::ipc;
  bulkhead::test::PlainLane lane(4096);
  const std::string text = arguments[0];
  const auto bytes = static_cast<std::uint32_t>(text.size());
  std::thread producer([&] {
    std::memcpy(lane.ring().data() + record_header_bytes, text.data(), bytes);
    // relaxed: on purpose; the payload is not published with it.
    lane.head(0).store(pack(RecordHeader{RecordKind::data, bytes, 1}), std::memory_order_relaxed);
  });
  LaneConsumer in(lane.ring(), 0, 0);
  LaneConsumer::Record record;
  while (in.poll(record) != LaneConsumer::Found::record) std::this_thread::yield();
  const bool same = std::memcmp(record.bytes.data(), text.data(), record.bytes.size()) == 0;
  producer.join();
  return same ? 0 : 1;
}
