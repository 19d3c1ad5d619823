// The lane by hand: memory as a kill, a hostile writer or a full lap leaves it, and one call.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "ipc/lane_consumer.hpp"
#include "ipc/lane_producer.hpp"
#include "tests/support/plain_lane.hpp"

namespace bulkhead::ipc {
namespace {

using test::PlainLane;
using Found = LaneConsumer::Found;

constexpr std::size_t capacity = 4096;

class Lane : public testing::Test {
 protected:
  static std::vector<std::byte> payload(std::size_t bytes, unsigned char fill) {
    return std::vector<std::byte>(bytes, std::byte{fill});
  }
  bool push(std::size_t bytes, unsigned char fill = 0xee) {
    return producer_.push(payload(bytes, fill));
  }

  // Takes one message and lets the producer have its space.
  ::testing::AssertionResult pull(std::size_t bytes, unsigned char fill = 0xee) {
    LaneConsumer::Record record;
    if (consumer_.poll(record) != Found::record)
      return ::testing::AssertionFailure() << "no record";
    const bool same = record.bytes.size() == bytes &&
                      std::all_of(record.bytes.begin(), record.bytes.end(),
                                  [&](std::byte byte) { return byte == std::byte{fill}; });
    if (!same) return ::testing::AssertionFailure() << "another record";
    if (!producer_.reclaim(record.end)) return ::testing::AssertionFailure() << "position refused";
    return ::testing::AssertionSuccess();
  }
  Found poll() {
    LaneConsumer::Record record;
    return consumer_.poll(record);
  }
  void write_head(std::uint64_t offset, RecordHeader header) { lane_.head(offset) = pack(header); }

  PlainLane lane_{capacity};
  LaneProducer producer_{lane_.ring(), lane_.page(), 0};
  LaneConsumer consumer_{lane_.ring(), 0, 0};
};

TEST_F(Lane, an_empty_ring_has_nothing) {
  EXPECT_FALSE(consumer_.ready());
  EXPECT_EQ(poll(), Found::nothing);
}

TEST_F(Lane, carries_messages_in_order_with_their_numbers) {
  ASSERT_TRUE(push(0));
  ASSERT_TRUE(push(56, 1));
  ASSERT_TRUE(push(57, 2));
  LaneConsumer::Record record;
  for (const std::uint64_t index : {1, 2, 3}) {
    ASSERT_EQ(consumer_.poll(record), Found::record);
    EXPECT_EQ(record.index, index);
  }
  EXPECT_EQ(record.end, 64U + 64U + 128U);
  EXPECT_EQ(load_committed(lane_.page())->count, 3U);
  EXPECT_EQ(load_committed(lane_.page())->position, record.end);
}

TEST_F(Lane, a_record_without_its_header_does_not_exist) {
  std::memset(lane_.ring().data() + 8, 0xff, 100);
  EXPECT_EQ(poll(), Found::nothing);
}

TEST_F(Lane, is_full_when_the_zero_head_behind_would_be_a_record_still_in_use) {
  // 63 lines of 64: the last one must stay free (I1).
  for (int i = 0; i < 63; ++i) ASSERT_TRUE(push(56)) << i;
  EXPECT_FALSE(push(56));
  EXPECT_FALSE(push(0));
  ASSERT_TRUE(pull(56));
  EXPECT_TRUE(push(56));
  EXPECT_FALSE(push(56));
}

TEST_F(Lane, the_largest_message_fits_at_every_offset_of_an_empty_ring) {
  const std::size_t largest = payload_bytes_max(capacity);
  for (int line = 0; line < 64; ++line) {
    ASSERT_TRUE(push(largest, 7)) << line;
    ASSERT_TRUE(pull(largest, 7)) << line;
    ASSERT_TRUE(push(1, 8)) << line;
    ASSERT_TRUE(pull(1, 8)) << line;
  }
}

TEST_F(Lane, pads_the_end_of_the_ring) {
  for (int i = 0; i < 63; ++i) {
    ASSERT_TRUE(push(10));
    ASSERT_TRUE(pull(10));
  }
  ASSERT_TRUE(push(100, 3));  // two lines, one is left
  EXPECT_EQ(unpack_record(lane_.head(63 * 64)).kind, RecordKind::pad);
  EXPECT_EQ(unpack_record(lane_.head(0)).kind, RecordKind::data);
  EXPECT_TRUE(pull(100, 3));
}

TEST_F(Lane, padding_whose_record_was_never_committed_is_waited_behind) {
  for (int i = 0; i < 63; ++i) {
    ASSERT_TRUE(push(10));
    ASSERT_TRUE(pull(10));
  }
  lane_.head(0) = 0;
  write_head(63 * 64, {RecordKind::pad, 64, 64});
  EXPECT_EQ(poll(), Found::nothing);
  EXPECT_EQ(poll(), Found::nothing);
  write_head(0, {RecordKind::data, 5, 64});
  EXPECT_EQ(poll(), Found::record);
}

// Payload full of words that would be valid headers, for as many laps as there are line offsets.
TEST_F(Lane, a_stale_payload_that_looks_like_a_header_is_never_taken_for_one) {
  std::mt19937 random(20240229);
  std::uint64_t index = 0;
  for (int round = 0; round < 20000; ++round) {
    const std::size_t bytes = random() % payload_bytes_max(capacity);
    std::vector<std::byte> decoys(bytes);
    // What the next few records' headers will look like, at every line of the payload.
    for (std::size_t at = 0; at + 8 <= bytes; at += 8) {
      const auto next = static_cast<std::uint32_t>(index + 2 + random() % 3);
      const std::uint64_t word = pack(RecordHeader{RecordKind::data, 8, next});
      std::memcpy(decoys.data() + at, &word, 8);
    }
    ASSERT_TRUE(producer_.push(decoys)) << "round " << round;
    LaneConsumer::Record record;
    ASSERT_EQ(consumer_.poll(record), Found::record) << "round " << round;
    ASSERT_EQ(record.index, ++index);
    ASSERT_TRUE(std::equal(decoys.begin(), decoys.end(), record.bytes.begin(), record.bytes.end()));
    ASSERT_EQ(consumer_.poll(record), Found::nothing) << "round " << round;
    ASSERT_TRUE(producer_.reclaim(consumer_.position()));
  }
}

TEST_F(Lane, random_sizes_and_random_lags_lose_nothing) {
  std::mt19937 random(7);
  std::uint64_t pushed = 0, pulled = 0, done_with = 0;
  for (int round = 0; round < 50000; ++round) {
    const std::size_t bytes_max = random() % 8 == 0 ? payload_bytes_max(capacity) : 200;
    if (push(random() % bytes_max, static_cast<unsigned char>(pushed + 1))) ++pushed;
    for (auto steps = random() % 3; steps-- > 0;) {
      LaneConsumer::Record record;
      if (consumer_.poll(record) != Found::record) {
        ASSERT_TRUE(producer_.reclaim(done_with));  // lags behind, but not for ever
        break;
      }
      ASSERT_EQ(record.index, ++pulled);
      for (const std::byte byte : record.bytes)
        ASSERT_EQ(byte, std::byte(static_cast<unsigned char>(pulled)));
      done_with = record.end;
      if (random() % 2 == 0) {
        ASSERT_TRUE(producer_.reclaim(done_with));
      }
    }
  }
  EXPECT_GT(pulled, 10000U);
}

TEST_F(Lane, positions_beyond_48_bits_go_on) {
  LaneConsumer late(lane_.ring(), (std::uint64_t{1} << 48) - 64, 4);
  write_head(capacity - 64, {RecordKind::data, 3, 5});
  LaneConsumer::Record record;
  ASSERT_EQ(late.poll(record), Found::record);
  EXPECT_EQ((Cursor{1, record.end & position_mask}), unpack(pack(Cursor{1, record.end})));
}

TEST_F(Lane, numbers_go_on_beyond_what_a_header_holds) {
  const std::uint64_t base = record_index_mask - 1;
  LaneProducer producer(lane_.ring(), lane_.page(), base);
  LaneConsumer consumer(lane_.ring(), 0, base);
  LaneConsumer::Record record;
  for (std::uint64_t index = base + 1; index < base + 6; ++index) {
    ASSERT_TRUE(producer.push(payload(8, 1)));
    ASSERT_EQ(consumer.poll(record), Found::record);
    EXPECT_EQ(record.index, index);
  }
}

TEST_F(Lane, a_producer_accepts_only_positions_that_it_committed_and_none_that_go_back) {
  ASSERT_TRUE(push(56));
  ASSERT_TRUE(push(56));
  EXPECT_FALSE(producer_.reclaim(129));
  EXPECT_FALSE(producer_.reclaim(position_mask));
  EXPECT_TRUE(producer_.reclaim(64));
  EXPECT_TRUE(producer_.reclaim(64));
  EXPECT_FALSE(producer_.reclaim(0));
  EXPECT_TRUE(producer_.reclaim(128));
  EXPECT_EQ(producer_.reclaimed(), 128U);
}

struct Hostile {
  const char* name;
  RecordHeader header;
};
class HostileRecord : public Lane, public testing::WithParamInterface<Hostile> {};

TEST_P(HostileRecord, is_a_violation_and_nothing_is_taken) {
  write_head(0, GetParam().header);
  EXPECT_EQ(poll(), Found::violation);
  EXPECT_STRNE(consumer_.complaint(), "");
  EXPECT_EQ(consumer_.position(), 0U);
  EXPECT_EQ(consumer_.last_index(), 0U);
  EXPECT_EQ(poll(), Found::violation);
}
INSTANTIATE_TEST_SUITE_P(
    , HostileRecord,
    testing::Values(Hostile{"longer_than_the_ring", {RecordKind::data, 0xffffffff, 1}},
                    Hostile{"longer_than_half_of_the_ring", {RecordKind::data, 2017, 1}},
                    Hostile{"with_an_older_number", {RecordKind::data, 8, 0}},
                    Hostile{"with_a_later_number", {RecordKind::data, 8, 2}},
                    Hostile{"of_unknown_kind", {static_cast<RecordKind>(9), 8, 1}},
                    Hostile{"without_kind", {RecordKind::none, 8, 1}},
                    Hostile{"padding_at_the_beginning", {RecordKind::pad, capacity, 1}},
                    Hostile{"padding_of_nothing", {RecordKind::pad, 0, 1}}),
    [](const auto& tested) { return tested.param.name; });

TEST_F(Lane, a_record_across_the_end_of_the_ring_is_a_violation) {
  LaneConsumer consumer(lane_.ring(), capacity - 64, 0);
  write_head(capacity - 64, {RecordKind::data, 57, 1});
  LaneConsumer::Record record;
  EXPECT_EQ(consumer.poll(record), Found::violation);
}

TEST_F(Lane, padding_that_misses_the_end_of_the_ring_is_a_violation) {
  LaneConsumer consumer(lane_.ring(), capacity - 128, 0);
  write_head(capacity - 128, {RecordKind::pad, 64, 1});
  LaneConsumer::Record record;
  EXPECT_EQ(consumer.poll(record), Found::violation);
}

TEST_F(Lane, a_position_from_a_damaged_page_stays_inside_the_ring) {
  for (const std::uint64_t position : {capacity - 1, capacity - 7, position_mask}) {
    LaneConsumer consumer(lane_.ring(), position, 0);
    std::memset(lane_.ring().data(), 0xa5, capacity);
    LaneConsumer::Record record;
    EXPECT_EQ(consumer.poll(record), Found::violation);
  }
}

// Any bytes at all: the answer is a record inside the ring, nothing, or a violation.
TEST_F(Lane, random_memory_never_leads_out_of_the_ring) {
  std::mt19937_64 random(99);
  for (int round = 0; round < 20000; ++round) {
    const std::uint64_t position = random();
    LaneConsumer consumer(lane_.ring(), position, random() & 3);
    for (std::uint64_t offset = 0; offset < capacity; offset += 64) {
      const auto kind = static_cast<RecordKind>(random() & 3);
      const auto length =
          static_cast<std::uint32_t>(random() & (random() % 2 == 0 ? 0xfff : 0xffffffff));
      write_head(offset, {kind, length, static_cast<std::uint32_t>(random() & 7)});
    }
    LaneConsumer::Record record;
    while (consumer.poll(record) == Found::record) {
      ASSERT_GE(record.bytes.data(), lane_.ring().data());
      ASSERT_LE(record.bytes.data() + record.bytes.size(), lane_.ring().data() + capacity);
    }
  }
}

}  // namespace
}  // namespace bulkhead::ipc
