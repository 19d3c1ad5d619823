// The writing end of a lane. Used by the shared-memory endpoint's sender; knows nothing of waiting,
// of the peer's page or of links. One thread.
//
// | tag         | writer               | reader               | visible after it      | killed in between             |
// |-------------|----------------------|----------------------|-----------------------|-------------------------------|
// | lane.commit | LaneProducer::commit | LaneConsumer::poll   | the record's bytes,   | before: no record; after: the |
// |             |                      |                      | a zero head behind it | end page is one record behind |
// | end.twin    | consumer's endpoint  | sender, then reclaim | that nobody reads     | nothing is reclaimed          |
// |             |                      |                      | what lies before      |                               |
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "ipc/end_page.hpp"
#include "ipc/lane_record.hpp"

namespace bulkhead::ipc {

class LaneProducer {
 public:
  // A fresh, zeroed ring. `base_index`: messages that earlier incarnations committed.
  LaneProducer(std::span<std::byte> ring, EndPage& page, std::uint64_t base_index) noexcept;

  // Commits when there is room as far as reclaim() said; false when full. At most
  // payload_bytes_max() bytes.
  bool push(std::span<const std::byte> bytes) noexcept;
  bool has_room(std::size_t payload_bytes) const noexcept {
    return placement(payload_bytes).end + cache_line <= reclaimed_ + capacity_;
  }

  // The consumer is done with everything before `position` (modulo 2^48): false, and nothing
  // changes, when that is behind what it said before or ahead of what was committed.
  bool reclaim(std::uint64_t position) noexcept;

  std::uint64_t position() const noexcept { return position_; }
  std::uint64_t reclaimed() const noexcept { return reclaimed_; }
  std::uint64_t count() const noexcept { return count_; }

 private:
  struct Placement {
    std::uint64_t start, end;  // of the record, after the padding
  };
  Placement placement(std::uint64_t payload_bytes) const noexcept {
    const std::uint64_t bytes = record_bytes(payload_bytes);
    const std::uint64_t offset = position_ & mask_;
    const std::uint64_t start =
        offset + bytes > capacity_ ? position_ + (capacity_ - offset) : position_;
    return {start, start + bytes};
  }
  void zero_head(std::uint64_t position) noexcept;
  void zero_heads_after(const Placement&) noexcept;
  void clear_ahead() noexcept;
  void commit(std::uint64_t position, RecordHeader) noexcept;

  std::byte* ring_;
  std::uint64_t capacity_, mask_;
  EndPage& page_;
  std::uint64_t position_ = 0;   // where the next record goes
  std::uint64_t reclaimed_ = 0;  // our copy of the consumer's cursor
  std::uint64_t cleared_;        // heads of the lines in [position_, cleared_) are 0
  std::uint64_t count_;
};

}  // namespace bulkhead::ipc
