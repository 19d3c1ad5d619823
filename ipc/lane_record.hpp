// The record of a lane: a header word, then the payload, in whole cache lines. Used by the two ends
// of the lane only; docs/design/lane.md has the invariants (I1) to (I4).
//
//   63      36 35   32 31       0
//   | index   | kind  | length   |  payload …  | up to the next multiple of 64 |
//
// The payload of a slab record is a SlabRef: where in the producer's slab area the message lies.
//
// A header of 0 means "not there". `index` is the low part of the message's number on the link: a
// check against stale or foreign bytes, and how a successor knows where it stands.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ipc/segment_layout.hpp"

namespace bulkhead::ipc {

enum class RecordKind : std::uint8_t { none = 0, data = 1, pad = 2, slab = 3 };

struct RecordHeader {
  RecordKind kind = RecordKind::none;
  std::uint32_t length = 0;  // data, slab: bytes of payload; pad: bytes up to the end of the ring
  std::uint32_t index = 0;   // its own number; pad: that of the record after it; modulo 2^28
};

struct SlabRef {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};
static_assert(sizeof(SlabRef) == 16);

inline constexpr std::uint64_t record_index_mask = (std::uint64_t{1} << 28) - 1;
inline constexpr std::size_t record_header_bytes = 8;

constexpr std::uint64_t pack(RecordHeader header) noexcept {
  return (header.index & record_index_mask) << 36 |
         (static_cast<std::uint64_t>(header.kind) & 15) << 32 | header.length;
}
constexpr RecordHeader unpack_record(std::uint64_t word) noexcept {
  return {static_cast<RecordKind>(word >> 32 & 15), static_cast<std::uint32_t>(word),
          static_cast<std::uint32_t>(word >> 36)};
}

constexpr std::uint64_t record_bytes(std::uint64_t payload_bytes) noexcept {
  return (payload_bytes + record_header_bytes + cache_line - 1) & ~std::uint64_t{cache_line - 1};
}

// A record that is at most half of the ring fits at every offset of an empty ring: the padding before
// it is shorter than itself by a line, and one line must stay free for the zero head after it.
constexpr std::size_t payload_bytes_max(std::size_t ring_capacity) noexcept {
  return (ring_capacity - cache_line) / 2;
}
static_assert(record_bytes(payload_bytes_max(4096)) <= 4096 / 2);

// What fits into one line beside the header: such records fit everywhere and need no padding.
inline constexpr std::size_t line_payload_bytes = cache_line - record_header_bytes;

// Heads lie on line boundaries of a page-aligned mapping.
inline std::atomic<std::uint64_t>& record_head(std::byte* ring, std::uint64_t offset) noexcept {
  return *reinterpret_cast<std::atomic<std::uint64_t>*>(ring + offset);
}
inline const std::atomic<std::uint64_t>& record_head(const std::byte* ring,
                                                     std::uint64_t offset) noexcept {
  return *reinterpret_cast<const std::atomic<std::uint64_t>*>(ring + offset);
}

}  // namespace bulkhead::ipc
