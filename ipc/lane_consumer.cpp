#include "ipc/lane_consumer.hpp"

namespace bulkhead::ipc {

LaneConsumer::Found LaneConsumer::poll(Record& record) noexcept {
  // Twice at most: padding, then the record at the beginning of the ring.
  for (int steps = 0; steps < 2; ++steps) {
    const std::uint64_t offset = position_ & (capacity_ - 1);
    // The word is read once and checked as it was read: its writer may change it at any time.
    // sync lane.commit: acquire; pairs with LaneProducer::commit; shows the record's bytes
    const std::uint64_t word = head().load(std::memory_order_acquire);
    if (word == 0) return Found::nothing;
    const RecordHeader header = unpack_record(word);
    if (header.index != ((last_index_ + 1) & record_index_mask)) {
      return refuse("a record is out of sequence");
    }
    if (header.kind == RecordKind::data) {
      const std::uint64_t bytes = record_bytes(header.length);
      if (header.length > payload_bytes_max(capacity_) || offset + bytes > capacity_) {
        return refuse("a record reaches beyond the ring");
      }
      position_ += bytes;
      ++last_index_;
      record = {{ring_ + offset + record_header_bytes, header.length}, position_, last_index_};
      return Found::record;
    }
    if (header.kind != RecordKind::pad) return refuse("a record is of no known kind");
    if (steps != 0 || offset == 0 || header.length != capacity_ - offset) {
      return refuse("padding does not reach the end of the ring");
    }
    position_ += header.length;
  }
  return Found::nothing;
}

}  // namespace bulkhead::ipc
