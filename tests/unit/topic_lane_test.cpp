// A topic's lane by hand: memory as a kill, a hostile writer or a writer that overtakes leaves it, and one
// call.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "ipc/topic_consumer.hpp"
#include "ipc/topic_producer.hpp"
#include "tests/support/plain_lane.hpp"

namespace bulkhead::ipc {
namespace {

using test::PlainLane;
using Found = TopicConsumer::Found;
using Overtake = TopicProducer::Overtake;

constexpr std::size_t capacity = 4096;

class TopicLane : public testing::Test {
 protected:
  explicit TopicLane(Overtake overtake = Overtake::no)
      : producer_(lane_.ring(), lane_.page(), overtake, 0, 0) {}

  static std::vector<std::byte> payload(std::size_t bytes, unsigned char fill) {
    return std::vector<std::byte>(bytes, std::byte{fill});
  }
  bool push(std::size_t bytes, unsigned char fill = 0xee) {
    return producer_.push(payload(bytes, fill));
  }
  TopicConsumer consumer(TopicConsumer::Start start = {}) {
    return TopicConsumer(lane_.page(), lane_.ring(), start);
  }
  // The number of the next message, if it is whole; 0 when there is none.
  static std::uint64_t next(TopicConsumer& consumer) {
    TopicConsumer::Message message;
    const auto found = consumer.poll(message);
    EXPECT_NE(found, Found::violation) << consumer.complaint();
    return found == Found::message ? message.number : 0;
  }
  static std::string complaint(TopicConsumer& consumer) {
    TopicConsumer::Message message;
    EXPECT_EQ(consumer.poll(message), Found::violation);
    return consumer.complaint();
  }
  void commit(std::uint64_t position, std::uint64_t count) {
    store_committed(lane_.page(), {position, count});
  }
  void write(std::uint64_t offset, TopicRecord record) {
    store_topic_body(lane_.ring().data(), offset, record.number, {});
    lane_.head(offset) = topic_head(record);
  }

  PlainLane lane_{capacity};
  TopicProducer producer_;
};

class OvertakingLane : public TopicLane {
 protected:
  OvertakingLane() : TopicLane(Overtake::yes) {}
};

TEST_F(TopicLane, an_empty_ring_has_nothing) {
  auto in = consumer();
  EXPECT_EQ(next(in), 0U);
  EXPECT_FALSE(in.ready());
}

TEST_F(TopicLane, carries_messages_in_order_with_their_numbers_and_bytes) {
  for (const std::size_t size : {0, 1, 8, 47, 48, 49, 300}) ASSERT_TRUE(push(size, 0x5a));
  auto in = consumer();
  EXPECT_TRUE(in.ready());
  std::uint64_t number = 0;
  for (const std::size_t size : {0, 1, 8, 47, 48, 49, 300}) {
    TopicConsumer::Message message;
    ASSERT_EQ(in.poll(message), Found::message) << size;
    EXPECT_EQ(message.number, ++number);
    ASSERT_EQ(message.bytes, size);
    const auto bytes = std::as_bytes(std::span(message.words)).first(size);
    EXPECT_TRUE(std::ranges::equal(bytes, payload(size, 0x5a))) << size;
  }
  EXPECT_EQ(next(in), 0U);
}

TEST_F(TopicLane, a_record_without_its_head_does_not_exist) {
  ASSERT_TRUE(push(10));
  store_topic_body(lane_.ring().data(), 64, 2, payload(10, 0xee));
  auto in = consumer();
  EXPECT_EQ(next(in), 1U);
  EXPECT_EQ(next(in), 0U);
  EXPECT_FALSE(in.ready());
}

// The publisher was killed between a record's head and the word that counts it.
TEST_F(TopicLane, a_record_that_is_not_counted_is_received_and_its_number_not_given_again) {
  const auto given = [this] {
    return last_given(lane_.page(), lane_.ring(), *load_committed(lane_.page()));
  };
  EXPECT_EQ(given(), 0U);
  ASSERT_TRUE(push(10));
  producer_.skip_to(4);
  EXPECT_EQ(given(), 4U);
  write(64, {TopicRecordKind::message, 10, 5});
  EXPECT_EQ(given(), 5U);
  auto in = consumer();
  EXPECT_EQ(next(in), 1U);
  EXPECT_EQ(next(in), 5U);
  EXPECT_EQ(next(in), 0U);
}

TEST_F(TopicLane, a_record_behind_padding_that_is_not_counted_is_received_too) {
  ASSERT_TRUE(push(2000));
  ASSERT_TRUE(push(1800));
  ASSERT_TRUE(producer_.acknowledge(producer_.position()));
  const auto before = *load_committed(lane_.page());
  const std::uint64_t newest = lane_.page().newest.load();
  ASSERT_TRUE(push(500));
  store_committed(lane_.page(), before);
  lane_.page().newest.store(newest);
  EXPECT_EQ(last_given(lane_.page(), lane_.ring(), before), 3U);
  auto in = consumer({.position = before.position, .number = before.count});
  EXPECT_EQ(next(in), 3U);
}

// What was there a lap ago, payloads too, passes for no record.
TEST_F(OvertakingLane, behind_the_last_record_the_head_is_always_zero) {
  for (std::uint64_t i = 1; i <= 3000; ++i) {
    ASSERT_TRUE(push((i * 61) % topic_payload_max(capacity), 0x01));
    ASSERT_EQ(lane_.head(producer_.position() % capacity), 0U) << i;
  }
}

TEST_F(TopicLane, is_full_when_the_next_record_would_lie_over_one_that_is_not_acknowledged) {
  for (int i = 0; i < 63; ++i) ASSERT_TRUE(push(48)) << i;  // and a line whose head is 0
  EXPECT_FALSE(producer_.has_room(0));
  EXPECT_FALSE(push(0));
  ASSERT_TRUE(producer_.acknowledge(64));
  EXPECT_TRUE(producer_.has_room(48));
  EXPECT_FALSE(producer_.has_room(49));
  EXPECT_TRUE(push(48));
  EXPECT_FALSE(push(0));
}

TEST_F(TopicLane, takes_the_largest_message_at_every_offset) {
  auto in = consumer();
  for (std::uint64_t number = 1; number <= 200; number += 2) {
    ASSERT_TRUE(push(topic_payload_max(capacity)));
    ASSERT_EQ(next(in), number);
    ASSERT_TRUE(producer_.acknowledge(in.position()));
    ASSERT_TRUE(push((number % 7) * 64));
    ASSERT_EQ(next(in), number + 1);
    ASSERT_TRUE(producer_.acknowledge(in.position()));
  }
}

TEST_F(TopicLane, keeps_what_was_acknowledged_until_its_place_is_needed) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(push(48));
  ASSERT_TRUE(producer_.acknowledge(producer_.position()));
  auto in = consumer({.position = producer_.position(), .history = 3});
  for (const std::uint64_t number : {8, 9, 10}) EXPECT_EQ(next(in), number);
  EXPECT_EQ(next(in), 0U);
}

TEST_F(TopicLane, history_is_as_long_as_the_lane_reaches_back) {
  ASSERT_TRUE(push(48));
  auto in = consumer({.position = producer_.position(), .history = 1000});
  EXPECT_EQ(next(in), 1U);
  EXPECT_EQ(next(in), 0U);
}

TEST_F(TopicLane, a_number_that_is_skipped_is_committed_without_a_record) {
  ASSERT_TRUE(push(8));
  producer_.skip_to(5);
  EXPECT_EQ(load_committed(lane_.page())->count, 5U);
  EXPECT_EQ(load_dropped(lane_.page()), 4U);
  ASSERT_TRUE(push(8));
  auto in = consumer();
  EXPECT_EQ(next(in), 1U);
  EXPECT_EQ(next(in), 6U);
}

TEST_F(TopicLane, an_acknowledgement_of_what_was_not_committed_changes_nothing) {
  ASSERT_TRUE(push(48));
  EXPECT_FALSE(producer_.acknowledge(128));
  EXPECT_TRUE(producer_.acknowledge(64));
  EXPECT_FALSE(producer_.acknowledge(0));
  EXPECT_EQ(producer_.acknowledged(), 64U);
}

TEST_F(TopicLane, a_cursor_within_a_record_gives_no_room_and_breaks_nothing) {
  for (int i = 0; i < 15; ++i) ASSERT_TRUE(push(240));
  ASSERT_TRUE(producer_.acknowledge(8));
  EXPECT_FALSE(push(240));
  ASSERT_TRUE(producer_.acknowledge(256 + 64));
  EXPECT_TRUE(push(240));
  EXPECT_FALSE(push(240));
}

TEST_F(TopicLane, resumes_where_a_cursor_of_48_bits_says) {
  ASSERT_TRUE(push(48));
  ASSERT_TRUE(push(48));
  auto in = consumer({.position = 64});
  EXPECT_EQ(next(in), 2U);
}

TEST_F(OvertakingLane, is_never_full_and_drops_the_oldest) {
  auto in = consumer();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(push(48)) << i;
  const std::uint64_t first = next(in);
  EXPECT_GT(first, 200U - 64U);
  EXPECT_LE(first, 200U - 63U + 8U + 1U);  // an eighth of the ring more than had to go
  for (std::uint64_t number = first + 1; number <= 200; ++number) ASSERT_EQ(next(in), number);
  EXPECT_EQ(next(in), 0U);
}

TEST_F(OvertakingLane, says_how_many_went_before_the_oldest) {
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(push(48));
  auto in = consumer();
  const std::uint64_t first = next(in);
  EXPECT_EQ(lane_.page().reclaimed_count.load(), first - 1);
}

TEST_F(OvertakingLane, wraps_around_padding_with_records_of_every_size) {
  auto in = consumer();
  std::uint64_t last = 0;
  for (std::uint64_t i = 1; i <= 5000; ++i) {
    ASSERT_TRUE(push((i * 37) % topic_payload_max(capacity), static_cast<unsigned char>(i)));
    if (i % 3 != 0) continue;
    TopicConsumer::Message message;
    while (in.poll(message) == Found::message) {
      ASSERT_GT(message.number, last);
      last = message.number;
      ASSERT_EQ(message.bytes, (last * 37) % topic_payload_max(capacity));
      const auto expected = payload(message.bytes, static_cast<unsigned char>(last));
      const auto bytes = std::as_bytes(std::span(message.words)).first(message.bytes);
      ASSERT_TRUE(std::ranges::equal(bytes, expected)) << last;
    }
    EXPECT_STREQ(in.complaint(), "");
    ASSERT_EQ(last, i);
  }
}

TEST_F(OvertakingLane, a_consumer_that_conflates_gets_the_newest_alone) {
  auto in = consumer({.conflates = true});
  EXPECT_EQ(next(in), 0U);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(push(48));
  EXPECT_EQ(next(in), 10U);
  EXPECT_EQ(next(in), 0U);
  ASSERT_TRUE(push(48));
  EXPECT_EQ(next(in), 11U);
}

// The publisher was killed between a commit and the word that names it as the newest.
TEST_F(OvertakingLane, a_newest_that_is_one_behind_costs_nothing) {
  ASSERT_TRUE(push(48));
  auto in = consumer({.conflates = true});
  const std::uint64_t before = lane_.page().newest.load();
  ASSERT_TRUE(push(48));
  lane_.page().newest.store(before);
  EXPECT_EQ(next(in), 1U);
  EXPECT_EQ(next(in), 2U);
}

TEST_F(OvertakingLane, a_new_incarnation_gets_the_newest_once_more_as_history) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(push(48));
  auto without = consumer({.position = producer_.position(), .conflates = true});
  EXPECT_EQ(next(without), 0U);
  auto with = consumer({.position = producer_.position(), .history = 1, .conflates = true});
  EXPECT_EQ(next(with), 10U);
  EXPECT_EQ(next(with), 0U);
}

// What a consumer sees that is overtaken between its look at the bounds and the end of its copy.
TEST_F(OvertakingLane, what_was_overwritten_meanwhile_is_not_handed_out) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(push(48));
  auto in = consumer();
  write(0, {TopicRecordKind::message, 4000, 77});  // the overwriting has begun ...
  lane_.page().reclaimed.store(64);                // ... as was announced before
  EXPECT_EQ(next(in), 2U);
  EXPECT_EQ(next(in), 3U);
}

TEST_F(OvertakingLane, bounds_that_a_hostile_writer_makes_up_are_a_violation) {
  ASSERT_TRUE(push(48));
  lane_.page().reclaimed.store(128);
  auto in = consumer();
  EXPECT_EQ(complaint(in), "its bounds do not fit together");
  lane_.page().reclaimed.store(8);
  EXPECT_EQ(complaint(in), "its bounds do not fit together");
  lane_.page().reclaimed.store(0);
  lane_.page().newest.store(~std::uint64_t{63});
  EXPECT_EQ(complaint(in), "its bounds do not fit together");
  lane_.page().newest.store(0);
  EXPECT_EQ(next(in), 1U);
  const auto judged = [this](std::uint64_t position, std::uint64_t count) {
    auto conflating = consumer({.conflates = true});  // looks at the bounds each time
    commit(128, 2);
    write(64, {TopicRecordKind::message, 8, 2});
    EXPECT_EQ(next(conflating), 1U);
    commit(position, count);
    return complaint(conflating);
  };
  EXPECT_EQ(judged(64, 2), "what was committed has become less");
  EXPECT_EQ(judged(128, 1), "what was committed has become less");
}

TEST_F(OvertakingLane, records_that_a_hostile_writer_makes_up_are_a_violation) {
  const auto judged = [this](TopicRecord record, std::uint64_t offset, std::uint64_t committed) {
    write(offset, record);
    commit(committed, 1);
    auto in = consumer({.position = offset});
    return complaint(in);
  };
  using Kind = TopicRecordKind;
  const std::string beyond = "a record reaches beyond the end of the ring";
  EXPECT_EQ(judged({Kind::none, 8, 1}, 0, 64), "a record is of no known kind");
  EXPECT_EQ(judged({static_cast<Kind>(3), 8, 1}, 0, 64), "a record is of no known kind");
  EXPECT_EQ(judged({Kind::message, 0xffffffff, 1}, 0, 64), beyond);
  EXPECT_EQ(judged({Kind::message, 2033, 1}, 0, 4096), beyond);
  EXPECT_EQ(judged({Kind::message, 100, 1}, 4032, 8192), beyond);
  EXPECT_EQ(judged({Kind::message, 8, 0}, 0, 64), "a record is out of sequence");
  const std::string padding = "padding does not reach the end of the ring";
  EXPECT_EQ(judged({Kind::pad, 4096, 0}, 0, 4096), padding);
  EXPECT_EQ(judged({Kind::pad, 64, 0}, 64, 128), padding);
  EXPECT_EQ(judged({Kind::pad, 64, 0}, 4032, 4032 + 32), "its bounds do not fit together");
}

// Every line of the ring passes for a record: a walk over all that is said to be committed never ends.
TEST_F(OvertakingLane, history_is_not_looked_for_beyond_the_ring) {
  for (std::uint64_t at = 0; at < capacity; at += 64) {
    write(at, {TopicRecordKind::message, 8, 1});
  }
  commit(std::uint64_t{1} << 46, 1);
  auto in = consumer({.position = std::uint64_t{1} << 46, .history = 3});
  EXPECT_EQ(next(in), 0U);
  EXPECT_TRUE(in.ready());
}

TEST_F(OvertakingLane, two_paddings_in_a_row_are_a_violation) {
  write(4032, {TopicRecordKind::pad, 64, 0});
  write(0, {TopicRecordKind::pad, 4096, 0});
  commit(8192, 1);
  auto in = consumer({.position = 4032});
  EXPECT_EQ(complaint(in), "padding does not reach the end of the ring");
}

TEST_F(OvertakingLane, a_cursor_beyond_what_was_committed_is_a_violation) {
  ASSERT_TRUE(push(48));
  auto in = consumer({.position = 128});
  EXPECT_EQ(complaint(in), "our predecessor acknowledged what was not committed");
  auto odd = consumer({.position = 8});
  EXPECT_EQ(complaint(odd), "our predecessor acknowledged what was not committed");
}

}  // namespace
}  // namespace bulkhead::ipc
