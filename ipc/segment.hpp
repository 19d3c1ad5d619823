// Memory that one process writes and others only read: an end page and, for lanes, a ring and slabs. Made by
// the owner, sealed so that the kernel refuses every further writable mapping, handed over as a
// descriptor. Used by every transport and by the brain; knows nothing of links or messages.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"
#include "ipc/segment_layout.hpp"

namespace bulkhead::ipc {

inline constexpr std::size_t ring_capacity_min = 4096;
inline constexpr std::size_t ring_capacity_max = std::size_t{1} << 40;

struct SegmentSpec {
  std::string name;               // shown in /proc/PID/maps
  std::uint16_t epoch = 1;        // the owner's incarnation on its link
  std::size_t ring_capacity = 0;  // a power of two; 0: no ring, the end page only counts
  std::size_t slab_bytes = 0;     // a power of two from 1 KiB on; only behind a ring
  std::uint64_t base_index = 0;   // messages committed by earlier incarnations
  bool survives_fork = false;     // else a forked child does not have the mapping
};

// What the header says, read once and checked.
struct SegmentFacts {
  std::uint16_t epoch = 0;
  std::uint64_t base_index = 0;
  std::size_t ring_capacity = 0;
  std::size_t slab_bytes = 0;
  bool membarrier = false;  // the owner is registered, see wake.hpp
};

// Somebody else's segment, mapped read-only. Its content is untrusted; its size and header were
// checked and the size cannot change.
class PeerSegment {
 public:
  const EndPage& page() const noexcept { return *reinterpret_cast<const EndPage*>(region_.data()); }
  std::span<const std::byte> ring() const noexcept {
    return {region_.data() + end_page_bytes, facts_.ring_capacity};
  }
  std::span<const std::byte> slabs() const noexcept {
    return {region_.data() + end_page_bytes + facts_.ring_capacity, facts_.slab_bytes};
  }
  const SegmentFacts& facts() const noexcept { return facts_; }

 private:
  friend class Segment;
  PeerSegment(base::MappedRegion region, SegmentFacts facts) noexcept
      : region_(std::move(region)), facts_(facts) {}

  base::MappedRegion region_;
  SegmentFacts facts_;
};

// Our own segment.
class Segment {
 public:
  static Result<Segment> create(const SegmentSpec&);

  // Takes the descriptor and keeps the mapping only. Errors: protocol_violation (not sealed, wrong
  // size, no segment), version_mismatch (another layout; names both).
  static Result<PeerSegment> attach_peer(base::UniqueFd, bool survives_fork = false);

  EndPage& page() noexcept { return *reinterpret_cast<EndPage*>(region_.data()); }
  const EndPage& page() const noexcept { return *reinterpret_cast<const EndPage*>(region_.data()); }
  std::span<std::byte> ring() const noexcept {
    return {region_.data() + end_page_bytes, facts_.ring_capacity};
  }
  std::span<std::byte> slabs() const noexcept {
    return {region_.data() + end_page_bytes + facts_.ring_capacity, facts_.slab_bytes};
  }
  // Has memory allocated for a part of the slabs, so that no write to it ends in SIGBUS.
  Result<void> reserve_slabs(std::uint64_t offset, std::uint64_t bytes) const;
  const SegmentFacts& facts() const noexcept { return facts_; }
  int fd() const noexcept { return fd_.get(); }

 private:
  Segment(base::UniqueFd fd, base::MappedRegion region, SegmentFacts facts) noexcept
      : fd_(std::move(fd)), region_(std::move(region)), facts_(facts) {}

  base::UniqueFd fd_;
  base::MappedRegion region_;
  SegmentFacts facts_;
};

}  // namespace bulkhead::ipc
