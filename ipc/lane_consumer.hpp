// The reading end of a lane: finds the next record of one producer incarnation and checks every word
// of it. Used by the receivers, by a producer's successor to see what was committed, and by a producer that
// reads its own ring again to send it once more; knows nothing of acknowledging or waiting. One thread.
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
  LaneConsumer(std::span<const std::byte> ring, std::uint64_t position, std::uint64_t last_index,
               std::span<const std::byte> slabs = {}) noexcept
      : ring_(ring.data()),
        capacity_(ring.size()),
        slabs_(slabs),
        position_(position & ~std::uint64_t{cache_line - 1}),
        last_index_(last_index) {}

  // The common cases: a sound record, of the ring or in a slab, is here, or nothing is. Inlined by force, as its callers
  // are: a record that goes through memory between two calls costs as much as all the rest.
  enum class Glance { record, nothing, unusual };
  [[gnu::always_inline]] Glance take(Record& record) noexcept {
    const std::uint64_t offset = position_ & (capacity_ - 1);
    // The word is read once and checked as it was read: its writer may change it at any time.
    // sync lane.commit: acquire; pairs with LaneProducer::commit; shows the record's bytes
    const std::uint64_t word = head().load(std::memory_order_acquire);
    // One line of data with the number that we expect, which is most of them, in one comparison.
    const std::uint64_t length = word - pack({RecordKind::data, 0, next_index()});
    if (length <= line_payload_bytes) [[likely]] {
      record.bytes = {ring_ + offset + record_header_bytes, length};
      step_over(cache_line, record);
      return Glance::record;
    }
    if (word == 0) return Glance::nothing;
    const RecordHeader header = unpack_record(word);
    const std::uint64_t bytes = record_bytes(header.length);
    const bool sound = is_next(header) && header.length <= payload_bytes_max(capacity_) &&
                       offset + bytes <= capacity_;
    if (header.kind == RecordKind::data && sound) {
      record.bytes = {ring_ + offset + record_header_bytes, header.length};
    } else if (header.kind == RecordKind::slab && sound && header.length == sizeof(SlabRef)) {
      const SlabRef slab = load_slab_ref(offset);
      if (slab.offset > slabs_.size() || slab.bytes > slabs_.size() - slab.offset) {
        return Glance::unusual;
      }
      record.bytes = slabs_.subspan(slab.offset, slab.bytes);
    } else {
      return Glance::unusual;
    }
    step_over(bytes, record);
    return Glance::record;
  }

  // Everything: a record, padding, a violation. Steps over the record that it returns; after a
  // violation it stays where it is.
  Found poll(Record&) noexcept;

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
  std::uint32_t next_index() const noexcept {
    return static_cast<std::uint32_t>((last_index_ + 1) & record_index_mask);
  }
  bool is_next(RecordHeader header) const noexcept { return header.index == next_index(); }
  [[gnu::always_inline]] void step_over(std::uint64_t bytes, Record& record) noexcept {
    position_ += bytes;
    ++last_index_;
    record.end = position_;
    record.index = last_index_;
  }
  // Each word is read once and checked as it was read.
  SlabRef load_slab_ref(std::uint64_t offset) const noexcept {
    const auto* const words =
        reinterpret_cast<const std::atomic<std::uint64_t>*>(ring_ + offset + record_header_bytes);
    return {words[0].load(std::memory_order_relaxed),   // relaxed: ordered by lane.commit
            words[1].load(std::memory_order_relaxed)};  // relaxed: ordered by lane.commit
  }
  Found refuse(const char* complaint) noexcept;

  const std::byte* ring_;
  std::uint64_t capacity_;
  std::span<const std::byte> slabs_;
  std::uint64_t position_;
  std::uint64_t last_index_;
  const char* complaint_ = "";
};

}  // namespace bulkhead::ipc
