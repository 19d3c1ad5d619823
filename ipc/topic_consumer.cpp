#include "ipc/topic_consumer.hpp"

#include <algorithm>
#include <deque>

namespace bulkhead::ipc {

// What was copied from `at` on is what was committed there (T2).
bool TopicConsumer::intact(std::uint64_t at) const noexcept {
  // sync topic.reclaim: acquire fence; pairs with TopicProducer::reclaim; words that were newer than the
  // record show that `reclaimed` has passed it
  std::atomic_thread_fence(std::memory_order_acquire);
  // relaxed: behind the fence.
  return page_.reclaimed.load(std::memory_order_relaxed) <= at;
}

// The two words that only grow are read before `committed`, which bounds them.
TopicConsumer::Looked TopicConsumer::look(Bounds& bounds) noexcept {
  // relaxed: ready() compares it; a turn that has moved meanwhile is seen as new once too often.
  const std::uint64_t turn = page_.committed.turn.load(std::memory_order_relaxed);
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
  if (!placed_) {
    if (const auto placed = place(reclaimed, *committed); placed != Looked::bounds) return placed;
  }
  if (committed->position < position_ || committed->count < last_number_) {
    complain("what was committed has become less");
    return Looked::violation;
  }
  turn_seen_ = turn;
  bounds.begin = std::max(position_, reclaimed);
  // An empty lane has no newest message, and its word is 0.
  if (start_.conflates) bounds.begin = std::max(bounds.begin, newest);
  bounds.end = committed->position;
  bounds.number = committed->count;
  if (!start_.conflates) known_end_ = bounds.end;
  known_number_ = bounds.number;
  return Looked::bounds;
}

// What was committed when we looked last needs no further look, each of which takes a line from the publisher,
// as long as it was not overwritten.
bool TopicConsumer::recall(Bounds& bounds) const noexcept {
  if (position_ >= known_end_) return false;
  // relaxed: intact() reads it again behind what is copied.
  if (page_.reclaimed.load(std::memory_order_relaxed) > position_) return false;
  bounds = {position_, known_end_, known_number_};
  return true;
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
  return Looked::bounds;
}

// Once in the life of a subscriber: where the last messages begin.
TopicConsumer::Step TopicConsumer::rewind(std::uint64_t reclaimed, const Committed& committed) {
  // More than a ring: overtaken since, or made up to keep us walking.
  if (committed.position - reclaimed > capacity_) return Step::again;
  const Bounds bounds{reclaimed, committed.position, committed.count};
  std::deque<std::uint64_t> begins;
  for (std::uint64_t at = reclaimed; at != bounds.end;) {
    TopicRecord record;
    const Step step = read_head(at, bounds, record);
    if (step != Step::message) return step;
    const bool pad = record.kind == TopicRecordKind::pad;
    if (!pad) begins.push_back(at);
    if (begins.size() > start_.history) begins.pop_front();
    at += pad ? record.length : topic_record_bytes(record.length);
  }
  if (!begins.empty()) position_ = std::min(position_, begins.front());
  return Step::message;
}

// A header that was committed at `at`, with every bound checked.
TopicConsumer::Step TopicConsumer::read_head(std::uint64_t at, const Bounds& bounds,
                                             TopicRecord& record) noexcept {
  const std::uint64_t offset = at & (capacity_ - 1);
  record = load_topic_record(ring_, offset);
  if (!intact(at)) return Step::again;
  if (record.kind == TopicRecordKind::pad) {
    if (offset != 0 && record.length == capacity_ - offset && at + record.length <= bounds.end) {
      return Step::message;
    }
    complain("padding does not reach the end of the ring");
    return Step::violation;
  }
  if (record.kind != TopicRecordKind::message) {
    complain("a record is of no known kind");
    return Step::violation;
  }
  const std::uint64_t bytes = topic_record_bytes(record.length);
  if (record.length > topic_payload_max(capacity_) || offset + bytes > capacity_ ||
      at + bytes > bounds.end) {
    complain("a record reaches beyond what was committed");
    return Step::violation;
  }
  if (record.number > bounds.number) {
    complain("a record has a number that was not given yet");
    return Step::violation;
  }
  return Step::message;
}

TopicConsumer::Found TopicConsumer::peek(Head& head) {
  // Each try that ends without an answer means that the publisher has overwritten what we looked at.
  for (int tries = 0; tries < tries_max; ++tries) {
    Bounds bounds{};
    switch (recall(bounds) ? Looked::bounds : look(bounds)) {
      case Looked::busy: continue;
      case Looked::violation: return Found::violation;
      case Looked::bounds: break;
    }
    std::uint64_t at = bounds.begin;
    TopicRecord record;
    Step step = Step::again;
    // Padding, at most once: a message follows it within what was committed.
    for (int records = 0; records < 2 && at != bounds.end; ++records) {
      step = read_head(at, bounds, record);
      if (step != Step::message || record.kind == TopicRecordKind::message) break;
      at += record.length;
    }
    if (at == bounds.end) {
      position_ = at;
      return Found::nothing;
    }
    if (step == Step::violation) return Found::violation;
    if (step == Step::again) continue;
    if (record.number <= last_number_) {
      complain("a record is out of sequence");
      return Found::violation;
    }
    head = {at, record.number, record.length};
    return Found::message;
  }
  turn_seen_ = ~std::uint64_t{0};  // what is there was not seen
  return Found::nothing;
}

bool TopicConsumer::copy(const Head& head, Message& message) {
  message.words.resize(words_for(head.length));
  load_topic_payload(ring_, head.at & (capacity_ - 1), message.words);
  if (!intact(head.at)) return false;
  step(head, message);
  return true;
}

void TopicConsumer::step(const Head& head, Message& message) noexcept {
  message.bytes = head.length;
  message.number = last_number_ = head.number;
  message.end = position_ = head.at + topic_record_bytes(head.length);
}

TopicConsumer::Found TopicConsumer::poll(Message& message) {
  for (int tries = 0; tries < tries_max; ++tries) {
    Head head;
    if (const auto found = peek(head); found != Found::message) return found;
    if (copy(head, message)) return Found::message;
  }
  turn_seen_ = ~std::uint64_t{0};  // what is there was not seen
  return Found::nothing;
}

}  // namespace bulkhead::ipc
