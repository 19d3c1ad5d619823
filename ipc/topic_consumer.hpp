// The reading end of a topic's lane: copies the next message of one publisher incarnation out of memory
// that may be overwritten meanwhile, and checks every word. Used by TopicReader, and to see what a dead
// publisher gave last; knows nothing of acknowledging or waiting. One thread. The invariants (T1) to (T5)
// stand in topic_producer.hpp.
//
// Who keeps up finds the next record by its head alone. The publisher's page, a line that is written with
// each message, is looked at in the beginning, after being overtaken, and for the newest.
//
// | tag           | writer                   | reader                | visible after it     | killed in between        |
// |---------------|--------------------------|-----------------------|----------------------|--------------------------|
// | topic.commit  | TopicProducer::commit    | load_topic_record     | the record's words   | see the producer         |
// | end.twin      | TopicProducer::push,skip | TopicConsumer::look   | nothing but the words| see the producer         |
// | topic.reclaim | TopicProducer::reclaim   | TopicConsumer::look,  | how far it has       | see the producer         |
// |               |                          | intact                | overwritten          |                          |
// | topic.newest  | TopicProducer::push      | TopicConsumer::look   | the record there     | see the producer         |
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ipc/end_page.hpp"
#include "ipc/topic_record.hpp"

namespace bulkhead::ipc {

class TopicConsumer {
 public:
  enum class Found { message, nothing, violation };
  struct Message {
    std::vector<std::uint64_t> words;  // the payload, and what fills the last word
    std::size_t bytes = 0;
    std::uint64_t number = 0;
    std::uint64_t end = 0;  // the position after it
  };
  struct Start {
    std::uint64_t position = 0;  // modulo 2^48; where the predecessor stopped
    std::uint64_t number = 0;    // all messages of this lane have larger ones
    std::uint32_t history = 0;   // so many messages before the end, if that is further back
    bool conflates = false;      // only the newest counts
  };

  TopicConsumer(const EndPage& page, std::span<const std::byte> ring, const Start& start) noexcept
      : page_(page),
        ring_(ring.data()),
        capacity_(ring.size()),
        start_(start),
        last_number_(start.number) {}

  // Copies the next message into `message` and steps over it; after a violation it stays where it is.
  // `nothing` also when a writer was too busy for a clear picture: ready() is true then.
  Found poll(Message& message);

  // The common cases, inline: the next message lies there whole, or nothing does. `unusual` leaves all to poll().
  enum class Glance { message, nothing, unusual };
  [[gnu::always_inline]] Glance take(Message& message) {
    if (!placed_ || start_.conflates) return Glance::unusual;
    const std::uint64_t offset = position_ & (capacity_ - 1);
    const TopicRecord record = load_topic_record(ring_, offset);
    if (topic_head(record) == 0) return intact(position_) ? Glance::nothing : Glance::unusual;
    const bool sound = record.kind == TopicRecordKind::message && is_within_ring(record, offset) &&
                       record.number > last_number_;
    if (!sound || !copy({position_, record.number, record.length}, message)) {
      return Glance::unusual;
    }
    unclear_ = false;
    return Glance::message;
  }

  // The same in two steps, for whose bytes come another way: what the next message is, then either a copy of it,
  // which fails when it was overwritten meanwhile, or none. `message.words` is the caller's to fill then.
  struct Head {
    std::uint64_t at = 0, number = 0;
    std::uint32_t length = 0;
  };
  Found peek(Head&);
  bool copy(const Head& head, Message& message) {
    message.words.resize(words_for(head.length));
    load_topic_payload(ring_, head.at & (capacity_ - 1), message.words);
    if (!intact(head.at)) return false;
    step(head, message);
    return true;
  }
  void step(const Head& head, Message& message) noexcept {
    message.bytes = head.length;
    message.number = last_number_ = head.number;
    message.end = position_ = head.at + topic_record_bytes(head.length);
  }

  // Whether poll() may have something new to say.
  bool ready() const noexcept {
    // relaxed: poll() reads both again, with acquire.
    return topic_word(ring_, position_ & (capacity_ - 1)).load(std::memory_order_relaxed) != 0 ||
           // relaxed: as above
           page_.reclaimed.load(std::memory_order_relaxed) > position_ || unclear_ || !placed_;
  }

  std::uint64_t position() const noexcept { return position_; }
  std::uint64_t last_number() const noexcept { return last_number_; }
  // The last number that was given when we looked last at the page.
  std::uint64_t known_number() const noexcept { return known_number_; }
  bool conflates() const noexcept { return start_.conflates; }
  const char* complaint() const noexcept { return complaint_; }  // after a violation

 private:
  enum class Looked { placed, busy, violation };
  enum class Step { message, nothing, again, violation };

  Looked look() noexcept;
  Looked place(std::uint64_t reclaimed, const Committed&) noexcept;
  Step rewind(std::uint64_t reclaimed, const Committed&);
  Step find(Head&) noexcept;
  Step read_head(std::uint64_t at, TopicRecord&) noexcept;
  // What was copied from `at` on is what was committed there (T2).
  bool intact(std::uint64_t at) const noexcept {
    // sync topic.reclaim: acquire fence; pairs with TopicProducer::reclaim; words that were newer than the
    // record show that `reclaimed` has passed it
    std::atomic_thread_fence(std::memory_order_acquire);
    // relaxed: behind the fence.
    return page_.reclaimed.load(std::memory_order_relaxed) <= at;
  }
  bool is_within_ring(const TopicRecord& message, std::uint64_t offset) const noexcept {
    return message.length <= topic_payload_max(capacity_) &&
           offset + topic_record_bytes(message.length) <= capacity_;
  }
  const char* complain(const char* what) noexcept { return complaint_ = what; }

  static constexpr int tries_max = 64;

  const EndPage& page_;
  const std::byte* const ring_;
  const std::uint64_t capacity_;
  const Start start_;
  bool placed_ = false;
  std::uint64_t position_ = 0;
  std::uint64_t last_number_;
  std::uint64_t known_end_ = 0, known_number_ = 0;  // committed, as the last look() saw it
  bool unclear_ = false;                            // the last peek() got no clear picture
  const char* complaint_ = "";
};

// The last number that a publisher gave which does not live any more: `committed`, or that of the record after it (T3).
std::uint64_t last_given(const EndPage&, std::span<const std::byte> ring, const Committed&);

}  // namespace bulkhead::ipc
