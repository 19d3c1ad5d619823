// The writing end of a topic's lane: one publisher's messages for one subscriber. Used by TopicWriter;
// knows nothing of waiting, of policies beyond "may overtake", or of other subscribers. One thread.
//
//   overwritten      | intact records                         | not yet written
//   -----------------|----------------------------------------|----------------
//                reclaimed     (acknowledged)    newest    committed
//
// (T1) In [reclaimed, committed) every record is complete and is never written.
// (T2) `reclaimed` is stored before the first word below it is overwritten. So who copied a record at p
//      and reads `reclaimed` <= p afterwards has what was committed there.
// (T3) The store of a record's head is the commit, and the head behind the last record is 0. Killed before
//      it: there was no message. After: it is complete. `committed` follows and may be one record behind,
//      so whoever takes over looks one further (last_given). It carries the number of the last message,
//      also of one that was dropped and has no record: no number is ever given twice.
// (T4) `reclaimed` is the beginning of a record, or equal to `committed`; `newest` is the beginning of a
//      message that was committed. Both only grow.
// (T5) A lane that may not overtake keeps `reclaimed` <= acknowledged.
//
// | tag           | writer                   | reader                 | visible after it     | killed in between           |
// |---------------|--------------------------|------------------------|----------------------|-----------------------------|
// | topic.commit  | TopicProducer::commit    | load_topic_record      | the record's words,  | before: no message; after:  |
// |               |                          |                        | a zero head behind it| `committed` is one behind   |
// | end.twin      | TopicProducer::push,skip | TopicConsumer::look    | nothing but the words| see topic.commit            |
// | topic.reclaim | TopicProducer::reclaim   | TopicConsumer::intact  | that what lies below | less is intact than could be|
// |               |                          |                        | is being overwritten |                             |
// | topic.newest  | TopicProducer::push      | TopicConsumer::look    | the record there     | the one before is newest    |
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "ipc/end_page.hpp"
#include "ipc/topic_record.hpp"

namespace bulkhead::ipc {

class TopicProducer {
 public:
  enum class Overtake : bool { no, yes };

  // A fresh, zeroed ring. `number` and `dropped`: what earlier incarnations gave and dropped.
  TopicProducer(std::span<std::byte> ring, EndPage& page, Overtake overtake, std::uint64_t number,
                std::uint64_t dropped) noexcept;

  // Commits the next message; false when it is full, which one that may overtake never is. At most
  // topic_payload_max() bytes.
  bool push(std::span<const std::byte> bytes) noexcept;
  bool has_room(std::size_t payload_bytes) const noexcept;
  // Numbers up to `number` are not for this subscriber.
  void skip_to(std::uint64_t number) noexcept;

  // The subscriber is done with everything before `position` (modulo 2^48): false, and nothing
  // changes, when that is behind what it said before or ahead of what was committed.
  bool acknowledge(std::uint64_t position) noexcept;

  // The first record from `position` on that is left and not acknowledged. Its bytes stay until the next push().
  struct Kept {
    std::uint64_t begin, end, number;
    std::span<const std::byte> bytes;
  };
  std::optional<Kept> kept_from(std::uint64_t position) const noexcept;

  std::uint64_t position() const noexcept { return position_; }
  std::uint64_t newest() const noexcept {                 // where the last message begins
    return page_.newest.load(std::memory_order_relaxed);  // relaxed: our own last store
  }
  std::uint64_t acknowledged() const noexcept { return acknowledged_; }
  std::uint64_t number() const noexcept { return number_; }
  std::uint64_t dropped() const noexcept { return dropped_; }

 private:
  struct Placement {
    std::uint64_t start, end;  // of the record, after the padding
  };
  struct Mark {
    std::uint64_t position, count;  // a beginning of a record, and the last number before it
  };
  Placement placement(std::uint64_t payload_bytes) const noexcept;
  // As a lane does (lane_producer.hpp): after a commit, for a next record of the same length.
  static constexpr std::uint64_t clear_ahead_most = 16 * cache_line;
  void zero_head(std::uint64_t position) noexcept;
  void clear_for(const Placement&) noexcept;
  void clear_ahead(std::uint64_t record_bytes) noexcept;
  void commit(std::uint64_t position, const TopicRecord&) noexcept;
  Mark walk(std::uint64_t at_least, std::uint64_t wanted) const noexcept;
  bool make_room(std::uint64_t end) noexcept;
  void reclaim(Mark) noexcept;
  std::uint64_t limit() const noexcept {
    return overtake_ == Overtake::yes ? position_ : acknowledged_;
  }

  std::byte* const ring_;
  const std::uint64_t capacity_, mask_;
  EndPage& page_;
  const Overtake overtake_;
  std::uint64_t position_ = 0;      // where the next record goes
  Mark reclaimed_{0, 0};            // as in the page
  std::uint64_t acknowledged_ = 0;  // our copy of the subscriber's cursor
  std::uint64_t cleared_;           // heads of the lines in [position_, cleared_) are 0
  std::uint64_t number_, dropped_;
};

}  // namespace bulkhead::ipc
