#include "ipc/topic_consumer.hpp"

#include <algorithm>
#include <deque>

namespace bulkhead::ipc {

// The two words that only grow are read before `committed`, which bounds them. Our own position may lie one
// record beyond that.
TopicConsumer::Looked TopicConsumer::look() noexcept {
  // sync topic.reclaim: acquire; pairs with TopicProducer::reclaim; shows the commits before it
  const std::uint64_t reclaimed = page_.reclaimed.load(std::memory_order_acquire);
  // sync topic.newest: acquire; pairs with TopicProducer::push; shows its commit
  const std::uint64_t newest = page_.newest.load(std::memory_order_acquire);
  const auto committed = load_committed(page_);
  if (!committed) return Looked::busy;
  constexpr std::uint64_t within_line = cache_line - 1;
  const std::uint64_t all = reclaimed | newest | committed->position;
  if (reclaimed > committed->position || newest > committed->position || (all & within_line) != 0) {
    complain("its bounds do not fit together");
    return Looked::violation;
  }
  if (committed->position < known_end_ || committed->count < known_number_) {
    complain("what was committed has become less");
    return Looked::violation;
  }
  if (!placed_) {
    if (const auto placed = place(reclaimed, *committed); placed != Looked::placed) return placed;
  }
  position_ = std::max(position_, reclaimed);
  // An empty lane has no newest message, and its word is 0.
  if (start_.conflates) position_ = std::max(position_, newest);
  known_end_ = committed->position;
  known_number_ = committed->count;
  return Looked::placed;
}

// The cursor that we begin at lies before the end of what was committed; its upper bits are told by that.
TopicConsumer::Looked TopicConsumer::place(std::uint64_t reclaimed,
                                           const Committed& committed) noexcept {
  const std::uint64_t back = distance(start_.position, committed.position & position_mask);
  if (back > committed.position || (start_.position & (cache_line - 1)) != 0) {
    complain("our predecessor acknowledged what was not committed");
    return Looked::violation;
  }
  position_ = committed.position - back;
  if (start_.history != 0) {
    const Step step = rewind(reclaimed, committed);
    if (step == Step::again) return Looked::busy;
    if (step == Step::violation) return Looked::violation;
  }
  placed_ = true;
  return Looked::placed;
}

// Once in the life of a subscriber: where the last messages begin.
TopicConsumer::Step TopicConsumer::rewind(std::uint64_t reclaimed, const Committed& committed) {
  // More than a ring: overtaken since, or made up to keep us walking.
  if (committed.position - reclaimed > capacity_) return Step::again;
  std::deque<std::uint64_t> begins;
  for (std::uint64_t at = reclaimed; at < committed.position;) {
    TopicRecord record;
    const Step step = read_head(at, record);
    if (step == Step::nothing) {
      complain("a record is missing in what was committed");
      return Step::violation;
    }
    if (step != Step::message) return step;
    const bool pad = record.kind == TopicRecordKind::pad;
    if (!pad) begins.push_back(at);
    if (begins.size() > start_.history) begins.pop_front();
    at += pad ? record.length : topic_record_bytes(record.length);
  }
  if (!begins.empty()) position_ = std::min(position_, begins.front());
  return Step::message;
}

// The record at `at`, a message or padding, with every bound checked.
TopicConsumer::Step TopicConsumer::read_head(std::uint64_t at, TopicRecord& record) noexcept {
  const std::uint64_t offset = at & (capacity_ - 1);
  record = load_topic_record(ring_, offset);
  if (!intact(at)) return Step::again;
  if (topic_head(record) == 0) return Step::nothing;
  if (record.kind == TopicRecordKind::pad) {
    if (offset != 0 && record.length == capacity_ - offset) return Step::message;
    complain("padding does not reach the end of the ring");
    return Step::violation;
  }
  if (record.kind != TopicRecordKind::message) {
    complain("a record is of no known kind");
    return Step::violation;
  }
  if (!is_within_ring(record, offset)) {
    complain("a record reaches beyond the end of the ring");
    return Step::violation;
  }
  return Step::message;
}

// What comes at our position, after padding where there is some.
TopicConsumer::Step TopicConsumer::find(Head& head) noexcept {
  TopicRecord record;
  Step step = read_head(position_, record);
  if (step == Step::message && record.kind == TopicRecordKind::pad) {
    position_ += record.length;
    step =
        read_head(position_, record);  // at the beginning of the ring, where no padding is allowed
  }
  if (step != Step::message) return step;
  if (record.number <= last_number_) {
    complain("a record is out of sequence");
    return Step::violation;
  }
  head = {position_, record.number, record.length};
  return Step::message;
}

TopicConsumer::Found TopicConsumer::peek(Head& head) {
  // Each try that ends without an answer means that the publisher has overwritten what we looked at.
  bool wants_look = !placed_;
  for (int tries = 0; tries < tries_max; ++tries) {
    if (wants_look) {
      const Looked looked = look();
      if (looked == Looked::violation) return Found::violation;
      if (looked == Looked::busy) continue;
    }
    const Step step = find(head);
    // There is something new: the newest counts.
    const bool newest = !start_.conflates || wants_look;
    if (step == Step::message && newest) {
      unclear_ = false;
      return Found::message;
    }
    if (step == Step::violation) return Found::violation;
    if (step == Step::nothing) {
      unclear_ = false;
      return Found::nothing;
    }
    wants_look = true;
  }
  unclear_ = true;
  return Found::nothing;
}

TopicConsumer::Found TopicConsumer::poll(Message& message) {
  for (int tries = 0; tries < tries_max; ++tries) {
    Head head;
    if (const auto found = peek(head); found != Found::message) return found;
    if (copy(head, message)) return Found::message;
  }
  unclear_ = true;
  return Found::nothing;
}

std::uint64_t last_given(const EndPage& page, std::span<const std::byte> ring,
                         const Committed& committed) {
  TopicConsumer lane(page, ring, {.position = committed.position, .number = committed.count});
  TopicConsumer::Head head;
  return lane.peek(head) == TopicConsumer::Found::message ? head.number : committed.count;
}

}  // namespace bulkhead::ipc
