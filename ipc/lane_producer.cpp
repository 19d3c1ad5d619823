#include "ipc/lane_producer.hpp"

#include <algorithm>

#include <bulkhead/error.hpp>

namespace bulkhead::ipc {
namespace {

// Clearing the head that comes next right before a commit would put its cache miss into the
// message's latency; so lines are cleared in blocks, after a commit, this far ahead.
constexpr std::uint64_t clear_when_below = 8 * cache_line;
constexpr std::uint64_t clear_up_to = 16 * cache_line;

}  // namespace

LaneProducer::LaneProducer(std::span<std::byte> ring, EndPage& page,
                           std::uint64_t base_index) noexcept
    : ring_(ring.data()),
      capacity_(ring.size()),
      mask_(ring.size() - 1),
      page_(page),
      cleared_(ring.size()),
      count_(base_index) {}

bool LaneProducer::push(std::span<const std::byte> bytes) noexcept {
  BULKHEAD_ASSERT(bytes.size() <= payload_bytes_max(capacity_));
  const Placement place = placement(bytes.size());
  if (place.end + cache_line > reclaimed_ + capacity_) return false;  // (I1)
  zero_heads_after(place);                                            // (I2)
  const auto index = static_cast<std::uint32_t>((count_ + 1) & record_index_mask);
  if (place.start != position_) {
    commit(position_,
           {RecordKind::pad, static_cast<std::uint32_t>(place.start - position_), index});
  }
  if (!bytes.empty()) {
    std::memcpy(ring_ + (place.start & mask_) + record_header_bytes, bytes.data(), bytes.size());
  }
  commit(place.start, {RecordKind::data, static_cast<std::uint32_t>(bytes.size()), index});
  position_ = place.end;
  ++count_;
  store_committed(page_, {position_, count_});
  if (cleared_ - position_ < clear_when_below) clear_ahead();
  return true;
}

bool LaneProducer::reclaim(std::uint64_t position) noexcept {
  const std::uint64_t step = distance(reclaimed_, position);
  if (step > position_ - reclaimed_) return false;
  reclaimed_ += step;
  return true;
}

void LaneProducer::zero_head(std::uint64_t position) noexcept {
  // relaxed: the commit that makes anybody look here is a release after it.
  record_head(ring_, position & mask_).store(0, std::memory_order_relaxed);
}

// The lines inside the record need no zero: nobody looks for a head there.
void LaneProducer::zero_heads_after(const Placement& place) noexcept {
  if (cleared_ >= place.end + cache_line) return;
  if (place.start != position_ && cleared_ < place.start + cache_line) zero_head(place.start);
  zero_head(place.end);
  cleared_ = place.end + cache_line;
}

// Not beyond what the consumer is known to have left: those heads are still records (I1).
void LaneProducer::clear_ahead() noexcept {
  const std::uint64_t to = std::min(position_ + clear_up_to, reclaimed_ + capacity_);
  for (; cleared_ < to; cleared_ += cache_line) zero_head(cleared_);
}

void LaneProducer::commit(std::uint64_t position, RecordHeader header) noexcept {
  // sync lane.commit: release; pairs with LaneConsumer::poll; publishes the record's bytes and the zero head behind it
  record_head(ring_, position & mask_).store(pack(header), std::memory_order_release);
}

}  // namespace bulkhead::ipc
