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

  // Steps over the record that it returns. After a violation it stays where it is.
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
  Found refuse(const char* complaint) noexcept {
    complaint_ = complaint;
    return Found::violation;
  }

  const std::byte* ring_;
  std::uint64_t capacity_;
  std::uint64_t position_;
  std::uint64_t last_index_;
  const char* complaint_ = "";
};

}  // namespace bulkhead::ipc
