#include "ipc/lane_consumer.hpp"

namespace bulkhead::ipc {

LaneConsumer::Found LaneConsumer::poll(Record& record) noexcept {
  // Twice at most: padding, then the beginning of the ring, where no padding is allowed.
  for (;;) {
    switch (take(record)) {
      case Glance::record: return Found::record;
      case Glance::nothing: return Found::nothing;
      case Glance::unusual: break;
    }
    // Looked at once more, and again judged only as it was read.
    // sync lane.commit: acquire; pairs with LaneProducer::commit; shows the record's bytes
    const RecordHeader header = unpack_record(head().load(std::memory_order_acquire));
    const std::uint64_t offset = position_ & (capacity_ - 1);
    if (!is_next(header)) return refuse("a record is out of sequence");
    if (header.kind == RecordKind::data) return refuse("a record reaches beyond the ring");
    if (header.kind == RecordKind::slab)
      return refuse("a record names memory outside of the slabs");
    if (header.kind != RecordKind::pad) return refuse("a record is of no known kind");
    if (offset == 0 || header.length != capacity_ - offset) {
      return refuse("padding does not reach the end of the ring");
    }
    position_ += header.length;
  }
}

LaneConsumer::Found LaneConsumer::refuse(const char* complaint) noexcept {
  complaint_ = complaint;
  return Found::violation;
}

}  // namespace bulkhead::ipc
