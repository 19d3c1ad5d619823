// The reading end of a lane: finds the next record of one producer incarnation and checks every word
// of it. Used by the shared-memory endpoint's receiver, and by a producer's successor to see what was
// committed; knows nothing of acknowledging or waiting. One thread.
//
// | tag         | writer               | reader             | visible after it    | killed in between |
// |-------------|----------------------|--------------------|---------------------|-------------------|
// | lane.commit | LaneProducer::commit | LaneConsumer::poll | the record's bytes  | see the producer  |
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ipc/lane_record.hpp"

namespace bulkhead::ipc {

class LaneConsumer {
 public:
  enum class Found { record, nothing, violation };
  struct Record {
    std::span<const std::byte> bytes;
    std::uint64_t end = 0;    // the position after it
    std::uint64_t index = 0;  // its number on the link
  };

  // Begins at `position`, where the message after number `last_index` is to come. A position out of
  // a damaged page is brought to a line: it then fails as out of sequence.
  LaneConsumer(std::span<const std::byte> ring, std::uint64_t position,
               std::uint64_t last_index) noexcept
      : ring_(ring.data()),
        capacity_(ring.size()),
        position_(position & ~std::uint64_t{cache_line - 1}),
        last_index_(last_index) {}

  // Steps over the record that it returns. After a violation it stays where it is. Inline, with the
  // common case first: what it finds goes on in registers.
  Found poll(Record& record) noexcept {
    const std::uint64_t offset = position_ & (capacity_ - 1);
    // The word is read once and checked as it was read: its writer may change it at any time.
    // sync lane.commit: acquire; pairs with LaneProducer::commit; shows the record's bytes
    const std::uint64_t word = head().load(std::memory_order_acquire);
    if (word == 0) return Found::nothing;
    const RecordHeader header = unpack_record(word);
    const std::uint64_t bytes = record_bytes(header.length);
    const bool sound = header.kind == RecordKind::data && is_next(header) &&
                       header.length <= payload_bytes_max(capacity_) && offset + bytes <= capacity_;
    if (!sound) return poll_unusual(header, record);
    position_ += bytes;
    ++last_index_;
    record = {{ring_ + offset + record_header_bytes, header.length}, position_, last_index_};
    return Found::record;
  }

  // Whether poll() would have something to say.
  bool ready() const noexcept {
    // relaxed: poll() reads the word again, with acquire.
    return head().load(std::memory_order_relaxed) != 0;
  }

  std::uint64_t position() const noexcept { return position_; }
  std::uint64_t last_index() const noexcept { return last_index_; }
  const char* complaint() const noexcept { return complaint_; }  // after a violation

 private:
  const std::atomic<std::uint64_t>& head() const noexcept {
    return record_head(ring_, position_ & (capacity_ - 1));
  }
  bool is_next(RecordHeader header) const noexcept {
    return header.index == ((last_index_ + 1) & record_index_mask);
  }
  Found poll_unusual(RecordHeader, Record&) noexcept;  // padding, or a violation
  Found refuse(const char* complaint) noexcept;

  const std::byte* ring_;
  std::uint64_t capacity_;
  std::uint64_t position_;
  std::uint64_t last_index_;
  const char* complaint_ = "";
};

}  // namespace bulkhead::ipc
