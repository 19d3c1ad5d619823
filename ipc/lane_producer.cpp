#include "ipc/lane_producer.hpp"

#include <algorithm>

namespace bulkhead::ipc {
LaneProducer::LaneProducer(std::span<std::byte> ring, EndPage& page,
                           std::uint64_t base_index) noexcept
    : ring_(ring.data()),
      capacity_(ring.size()),
      mask_(ring.size() - 1),
      page_(page),
      cleared_(cache_line),
      count_(base_index) {
  // Before the segment is offered: who takes over from an incarnation that committed nothing, or whose
  // first commit is not noted yet, counts on from here.
  store_committed(page_, {position_, count_});
}

bool LaneProducer::reclaim(std::uint64_t position) noexcept {
  const std::uint64_t step = distance(reclaimed_, position);
  if (step > position_ - reclaimed_) return false;
  reclaimed_ += step;
  return true;
}

bool LaneProducer::push_anywhere(std::span<const std::byte> bytes, RecordKind kind) noexcept {
  BULKHEAD_ASSERT(bytes.size() <= payload_bytes_max(capacity_));
  const Placement place = placement(bytes.size());
  if (place.end + cache_line > reclaimed_ + capacity_) return false;  // (I1)
  if (place.start != position_ || cleared_ < place.end + cache_line) make_way(place);
  put(place, bytes, kind);
  return true;
}

// The heads behind the record are zero before anything is committed (I2), the padding before the record
// is. The lines inside the record need no zero: nobody looks for a head there.
void LaneProducer::make_way(Placement place) noexcept {
  const bool wraps = place.start != position_;
  if (cleared_ < place.end + cache_line) {
    if (wraps && cleared_ < place.start + cache_line) zero_head(place.start);
    zero_head(place.end);
    cleared_ = place.end + cache_line;
  }
  if (!wraps) return;
  commit(ring_ + (position_ & mask_),
         {RecordKind::pad, static_cast<std::uint32_t>(place.start - position_), next_index()});
}

// The consumer looks at the first head only while that is 0, so all others may stand before it.
void LaneProducer::write_head(std::uint64_t position, RecordHeader header) noexcept {
  // relaxed: the commit of the batch is a release after it.
  record_head(ring_, position & mask_).store(pack(header), std::memory_order_relaxed);
}

// Behind every record of the batch a head follows or, after the last one, a zero (I2); the head at our
// position, of a record or of padding, is 0 until the one store that commits.
bool LaneProducer::push_batch(MessageBatch messages) noexcept {
  if (messages.empty()) return true;
  std::uint64_t end = position_;
  for (const auto& message : messages) end = placement(end, message.size()).end;
  if (end + cache_line > reclaimed_ + capacity_) return false;  // (I1)
  const std::uint64_t first = position_;
  RecordHeader commits;
  std::uint64_t position = first;
  std::uint64_t count = count_;
  const auto put_head = [&](std::uint64_t at, RecordHeader header) {
    if (at == first) {
      commits = header;
    } else {
      write_head(at, header);
    }
  };
  for (const auto& message : messages) {
    const Placement place = placement(position, message.size());
    const auto index = static_cast<std::uint32_t>(++count & record_index_mask);
    if (place.start != position) {
      put_head(position,
               {RecordKind::pad, static_cast<std::uint32_t>(place.start - position), index});
    }
    copy_payload(ring_ + (place.start & mask_) + record_header_bytes, message);
    put_head(place.start, {RecordKind::data, static_cast<std::uint32_t>(message.size()), index});
    position = place.end;
  }
  if (cleared_ < end + cache_line) {
    zero_head(end);
    cleared_ = end + cache_line;
  }
  commit(ring_ + (first & mask_), commits);
  position_ = end;
  count_ = count;
  store_committed(page_, {position_, count_});
  clear_ahead(cache_line);
  return true;
}

}  // namespace bulkhead::ipc
