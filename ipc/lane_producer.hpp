// The writing end of a lane. Used by the shared-memory endpoint's sender and the resend window of sockets;
// knows nothing of waiting, of the peer's page or of links. One thread.
//
// | tag         | writer               | reader               | visible after it      | killed in between             |
// |-------------|----------------------|----------------------|-----------------------|-------------------------------|
// | lane.commit | LaneProducer::commit | LaneConsumer::poll   | the record's bytes,   | before: no record; after: the |
// |             |                      |                      | a zero head behind it | end page is one record behind |
// | end.twin    | consumer's endpoint  | sender, then reclaim | that nobody reads     | nothing is reclaimed          |
// |             |                      |                      | what lies before      |                               |
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "ipc/end_page.hpp"
#include "ipc/lane_record.hpp"
#include "ipc/message_batch.hpp"

namespace bulkhead::ipc {

class LaneProducer {
 public:
  // A fresh, zeroed ring. `base_index`: messages that earlier incarnations committed.
  LaneProducer(std::span<std::byte> ring, EndPage& page, std::uint64_t base_index) noexcept;

  // Commits when there is room as far as reclaim() said; false when full. At most
  // payload_bytes_max() bytes. Inlined by force: its caller is the message's critical path.
  [[gnu::always_inline]] bool push(std::span<const std::byte> bytes,
                                   RecordKind kind = RecordKind::data) noexcept {
    // The common case: one line, whose head and the one behind it are zero already, so there is room (I1).
    if (bytes.size() <= line_payload_bytes && position_ + 2 * cache_line <= cleared_) [[likely]] {
      put({position_, position_ + cache_line}, bytes, kind);
      return true;
    }
    return push_anywhere(bytes, kind);
  }
  // A message that lies in our slab area; nobody writes to it before the consumer is done with it.
  bool push_slab(SlabRef slab) noexcept {
    return push(std::as_bytes(std::span(&slab, 1)), RecordKind::slab);
  }
  // Several messages with one commit: a consumer, and a successor of ours, finds all of them or none.
  // False when there is no room for all as far as reclaim() said.
  bool push_batch(MessageBatch) noexcept;

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
    return placement(position_, payload_bytes);
  }
  Placement placement(std::uint64_t position, std::uint64_t payload_bytes) const noexcept {
    const std::uint64_t bytes = record_bytes(payload_bytes);
    const std::uint64_t offset = position & mask_;
    const std::uint64_t start =
        offset + bytes > capacity_ ? position + (capacity_ - offset) : position;
    return {start, start + bytes};
  }
  // After a commit: the heads that the next record needs if it is as long as the last one. Clearing them right
  // before that commit would put their cache misses into the message's latency. Clearing them much earlier
  // would be in vain: the consumer's prefetcher takes the lines that follow the one it reads, and the commit
  // would then have to take them back. So they are cleared last thing, no further than one record ahead.
  // Not beyond what the consumer is known to have left: those heads are still records (I1).
  void clear_ahead(std::uint64_t record_bytes) noexcept {
    if (record_bytes > clear_ahead_most) return;  // one miss is little beside the copying
    const std::uint64_t wanted = position_ + record_bytes + cache_line;
    const std::uint64_t to = wanted < reclaimed_ + capacity_ ? wanted : reclaimed_ + capacity_;
    std::uint64_t cleared = cleared_;
    for (; cleared < to; cleared += cache_line) zero_head(cleared);
    cleared_ = cleared;
  }
  static constexpr std::uint64_t clear_ahead_most = 16 * cache_line;

  // Most messages are a few words, for which a call of memcpy takes longer than the copying.
  static void copy_payload(std::byte* to, std::span<const std::byte> bytes) noexcept {
    const std::byte* const from = bytes.data();
    const std::size_t size = bytes.size();
    if (size > 64) {
      std::memcpy(to, from, size);
    } else if (size > 32) {  // the pieces overlap
      copy_piece<32>(to, from);
      copy_piece<32>(to + size - 32, from + size - 32);
    } else if (size > 16) {
      copy_piece<16>(to, from);
      copy_piece<16>(to + size - 16, from + size - 16);
    } else if (size >= 8) {
      copy_piece<8>(to, from);
      copy_piece<8>(to + size - 8, from + size - 8);
    } else {
      for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
    }
  }
  template <std::size_t n>
  static void copy_piece(std::byte* to, const std::byte* from) noexcept {
    std::memcpy(to, from, n);
  }

  bool push_anywhere(std::span<const std::byte> bytes, RecordKind) noexcept;
  // The heads that the place needs are zero.
  [[gnu::always_inline]] void put(Placement place, std::span<const std::byte> bytes,
                                  RecordKind kind) noexcept {
    std::byte* const record = ring_ + (place.start & mask_);
    copy_payload(record + record_header_bytes, bytes);
    commit(record, {kind, static_cast<std::uint32_t>(bytes.size()), next_index()});
    position_ = place.end;
    ++count_;
    store_committed(page_, {place.end, count_});
    clear_ahead(place.end - place.start);
  }
  std::uint32_t next_index() const noexcept {
    return static_cast<std::uint32_t>((count_ + 1) & record_index_mask);
  }
  void make_way(Placement) noexcept;
  void zero_head(std::uint64_t position) noexcept {
    // relaxed: the commit that makes anybody look here is a release after it.
    record_head(ring_, position & mask_).store(0, std::memory_order_relaxed);
  }
  void write_head(std::uint64_t position, RecordHeader header) noexcept;
  static void commit(std::byte* record, RecordHeader header) noexcept {
    // sync lane.commit: release; pairs with LaneConsumer::poll; publishes the record's bytes and the zero head behind it
    record_head(record, 0).store(pack(header), std::memory_order_release);
  }

  std::byte* ring_;
  std::uint64_t capacity_, mask_;
  EndPage& page_;
  std::uint64_t position_ = 0;   // where the next record goes
  std::uint64_t reclaimed_ = 0;  // our copy of the consumer's cursor
  std::uint64_t cleared_;        // heads of the lines in [position_, cleared_) are 0
  std::uint64_t count_;
};

}  // namespace bulkhead::ipc
