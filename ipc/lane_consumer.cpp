#include "ipc/lane_consumer.hpp"

namespace bulkhead::ipc {

LaneConsumer::Found LaneConsumer::poll_unusual(RecordHeader header, Record& record) noexcept {
  const std::uint64_t offset = position_ & (capacity_ - 1);
  if (!is_next(header)) return refuse("a record is out of sequence");
  if (header.kind == RecordKind::data) return refuse("a record reaches beyond the ring");
  if (header.kind != RecordKind::pad) return refuse("a record is of no known kind");
  if (offset == 0 || header.length != capacity_ - offset) {
    return refuse("padding does not reach the end of the ring");
  }
  position_ += header.length;
  return poll(record);  // at the beginning of the ring, where no padding is allowed: once
}

LaneConsumer::Found LaneConsumer::refuse(const char* complaint) noexcept {
  complaint_ = complaint;
  return Found::violation;
}

}  // namespace bulkhead::ipc
