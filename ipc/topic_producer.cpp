#include "ipc/topic_producer.hpp"

#include <bulkhead/error.hpp>

#include <algorithm>

namespace bulkhead::ipc {

TopicProducer::TopicProducer(std::span<std::byte> ring, EndPage& page, Overtake overtake,
                             std::uint64_t number, std::uint64_t dropped) noexcept
    : ring_(ring.data()),
      capacity_(ring.size()),
      mask_(ring.size() - 1),
      page_(page),
      overtake_(overtake),
      reclaimed_{0, number},
      cleared_(cache_line),
      number_(number),
      dropped_(dropped) {
  // Before the segment is offered: who takes over from an incarnation that published nothing numbers on.
  store_dropped(page_, dropped_);
  page_.reclaimed_count.store(number,
                              std::memory_order_relaxed);  // relaxed: a figure for reports
  store_committed(page_, {position_, number_});
}

TopicProducer::Placement TopicProducer::placement(std::uint64_t payload_bytes) const noexcept {
  const std::uint64_t bytes = topic_record_bytes(payload_bytes);
  const std::uint64_t offset = position_ & mask_;
  const std::uint64_t start =
      offset + bytes > capacity_ ? position_ + (capacity_ - offset) : position_;
  return {start, start + bytes};
}

bool TopicProducer::push(std::span<const std::byte> bytes) noexcept {
  BULKHEAD_ASSERT(bytes.size() <= topic_payload_max(capacity_));
  const Placement place = placement(bytes.size());
  if (!make_room(place.end + cache_line)) return false;
  if (cleared_ < place.end + cache_line) clear_for(place);
  if (place.start != position_) {
    const auto pad = static_cast<std::uint32_t>(place.start - position_);
    commit(position_, {TopicRecordKind::pad, pad, 0});
  }
  ++number_;
  store_topic_body(ring_, place.start & mask_, number_, bytes);
  commit(place.start,
         {TopicRecordKind::message, static_cast<std::uint32_t>(bytes.size()), number_});
  position_ = place.end;
  store_committed(page_, {position_, number_});
  // sync topic.newest: release; pairs with TopicConsumer::look; shows that the message there is committed
  page_.newest.store(place.start, std::memory_order_release);
  clear_ahead(place.end - place.start);
  return true;
}

void TopicProducer::commit(std::uint64_t position, const TopicRecord& record) noexcept {
  // sync topic.commit: release; pairs with load_topic_record(); publishes the record's words and the zero head behind it
  topic_word(ring_, position & mask_).store(topic_head(record), std::memory_order_release);
}

void TopicProducer::zero_head(std::uint64_t position) noexcept {
  // relaxed: the commit that makes anybody look here is a release after it.
  topic_word(ring_, position & mask_).store(0, std::memory_order_relaxed);
}

// The heads where a subscriber looks after padding and after the record (T3).
void TopicProducer::clear_for(const Placement& place) noexcept {
  if (place.start != position_ && cleared_ < place.start + cache_line) zero_head(place.start);
  zero_head(place.end);
  cleared_ = place.end + cache_line;
}

// Not beyond what is reclaimed: those are still records.
void TopicProducer::clear_ahead(std::uint64_t record_bytes) noexcept {
  if (record_bytes > clear_ahead_most) return;
  const std::uint64_t to =
      std::min(position_ + record_bytes + cache_line, reclaimed_.position + capacity_);
  for (; cleared_ < to; cleared_ += cache_line) zero_head(cleared_);
}

bool TopicProducer::has_room(std::size_t payload_bytes) const noexcept {
  const std::uint64_t end = placement(payload_bytes).end + cache_line;
  if (end <= reclaimed_.position + capacity_) return true;
  const std::uint64_t needed = end - capacity_;
  return needed <= limit() && walk(needed, needed).position >= needed;
}

void TopicProducer::skip_to(std::uint64_t number) noexcept {
  if (number <= number_) return;
  dropped_ += number - number_;
  number_ = number;
  store_dropped(page_, dropped_);
  store_committed(page_, {position_, number_});
}

bool TopicProducer::acknowledge(std::uint64_t position) noexcept {
  const std::uint64_t step = distance(acknowledged_, position);
  if (step > position_ - acknowledged_) return false;
  acknowledged_ += step;
  return true;
}

std::optional<TopicProducer::Kept> TopicProducer::kept_from(std::uint64_t position) const noexcept {
  std::uint64_t at = std::max(position, reclaimed_.position);
  while (at < position_) {
    const std::uint64_t offset = at & mask_;
    const TopicRecord record = load_topic_record(ring_, offset);
    const bool pad = record.kind == TopicRecordKind::pad;
    const std::uint64_t end = at + (pad ? record.length : topic_record_bytes(record.length));
    if (!pad && end > acknowledged_) {
      return Kept{at, end, record.number, {ring_ + offset + topic_header_bytes, record.length}};
    }
    at = end;
  }
  return std::nullopt;
}

// The first beginning of a record from `wanted` on, as far as limit() allows. A subscriber whose cursor
// is no beginning of a record stops it early. The records are our own and nobody else can write them.
TopicProducer::Mark TopicProducer::walk(std::uint64_t at_least,
                                        std::uint64_t wanted) const noexcept {
  Mark mark = reclaimed_;
  const std::uint64_t most = limit();
  while (mark.position < std::max(at_least, wanted)) {
    const TopicRecord record = load_topic_record(ring_, mark.position & mask_);
    const bool pad = record.kind == TopicRecordKind::pad;
    const std::uint64_t bytes = pad ? record.length : topic_record_bytes(record.length);
    if (mark.position + bytes > most) break;
    mark.position += bytes;
    if (!pad) mark.count = record.number;
  }
  return mark;
}

// More than is needed at once: so `reclaimed` is seldom stored, and a subscriber that was overtaken has an
// eighth of the ring to copy what it goes on with.
bool TopicProducer::make_room(std::uint64_t end) noexcept {
  if (end <= reclaimed_.position + capacity_) return true;
  const std::uint64_t needed = end - capacity_;
  if (needed > limit()) return false;
  const Mark mark = walk(needed, std::min(reclaimed_.position + capacity_ / 8, limit()));
  if (mark.position < needed) return false;
  reclaim(mark);
  return true;
}

void TopicProducer::reclaim(Mark mark) noexcept {
  reclaimed_ = mark;
  page_.reclaimed_count.store(mark.count,
                              std::memory_order_relaxed);  // relaxed: a figure for reports
  // sync topic.reclaim: release; pairs with TopicConsumer::look; shows that older commits have happened
  page_.reclaimed.store(mark.position, std::memory_order_release);
  // sync topic.reclaim: release fence; pairs with TopicConsumer::intact; keeps the words of the next
  // record behind the store
  std::atomic_thread_fence(std::memory_order_release);
}

}  // namespace bulkhead::ipc
