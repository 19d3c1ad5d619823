// Records that name a slab, by hand: what a consumer makes of them, sound or forged.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <vector>

#include "ipc/lane_consumer.hpp"
#include "ipc/lane_producer.hpp"
#include "tests/support/plain_lane.hpp"

namespace bulkhead::ipc {
namespace {

using Found = LaneConsumer::Found;

constexpr std::size_t ring_bytes = 4096, slab_area = 8192;

class LaneSlab : public testing::Test {
 protected:
  // A record of this shape at the beginning of the ring, whoever wrote it.
  Found poll_forged(SlabRef slab, std::uint32_t length = sizeof(SlabRef)) {
    std::memcpy(lane_.ring().data() + record_header_bytes, &slab, sizeof slab);
    lane_.head(0) = pack(RecordHeader{RecordKind::slab, length, 1});
    return consumer_.poll(record_);
  }

  test::PlainLane lane_{ring_bytes};
  std::vector<std::byte> slabs_ = std::vector<std::byte>(slab_area);
  LaneProducer producer_{lane_.ring(), lane_.page(), 0};
  LaneConsumer consumer_{lane_.ring(), 0, 0, slabs_};
  LaneConsumer::Record record_;
};

TEST_F(LaneSlab, is_shown_where_it_lies) {
  ASSERT_TRUE(producer_.push_slab({1024, 300}));
  ASSERT_EQ(consumer_.poll(record_), Found::record);
  EXPECT_EQ(record_.bytes.data(), slabs_.data() + 1024);
  EXPECT_EQ(record_.bytes.size(), 300U);
  EXPECT_EQ(record_.index, 1U);
  EXPECT_TRUE(producer_.reclaim(record_.end));
  EXPECT_EQ(consumer_.poll(record_), Found::nothing);
}

TEST_F(LaneSlab, keeps_its_place_among_messages_of_the_ring_for_many_laps) {
  for (std::uint64_t message = 1; message <= 1000; ++message) {
    const std::byte fill{static_cast<unsigned char>(message)};
    if (message % 3 == 0) {
      ASSERT_TRUE(producer_.push_slab({message % 8 * 1024, message % 1024}));
    } else {
      ASSERT_TRUE(producer_.push(std::vector<std::byte>(message % 200, fill)));
    }
    ASSERT_EQ(consumer_.poll(record_), Found::record) << consumer_.complaint();
    ASSERT_EQ(record_.index, message);
    ASSERT_EQ(record_.bytes.size(), message % 3 == 0 ? message % 1024 : message % 200);
    ASSERT_TRUE(producer_.reclaim(record_.end));
  }
}

TEST_F(LaneSlab, may_reach_to_the_end_of_the_area) {
  EXPECT_EQ(poll_forged({slab_area - 10, 10}), Found::record);
  EXPECT_EQ(record_.bytes.data() + 10, slabs_.data() + slab_area);
}
TEST_F(LaneSlab, may_be_empty_at_its_very_end) {
  EXPECT_EQ(poll_forged({slab_area, 0}), Found::record);
}

struct Forgery {
  const char* what;
  SlabRef slab;
  std::uint32_t length;
};
class ForgedSlab : public LaneSlab, public testing::WithParamInterface<Forgery> {};

TEST_P(ForgedSlab, is_a_violation_and_moves_nothing) {
  EXPECT_EQ(poll_forged(GetParam().slab, GetParam().length), Found::violation);
  EXPECT_EQ(consumer_.position(), 0U);
  EXPECT_STRNE(consumer_.complaint(), "");
}

constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
INSTANTIATE_TEST_SUITE_P(Forgeries, ForgedSlab,
                         testing::Values(Forgery{"one_byte_too_long", {slab_area - 10, 11}, 16},
                                         Forgery{"begins_behind_the_area", {slab_area + 1, 0}, 16},
                                         Forgery{"whose_end_wraps_around", {64, huge - 32}, 16},
                                         Forgery{
                                             "that_begins_at_the_end_of_the_world", {huge, 1}, 16},
                                         Forgery{"with_a_longer_payload", {0, 1}, 17},
                                         Forgery{"without_a_payload", {0, 1}, 0}),
                         [](const auto& forgery) { return forgery.param.what; });

TEST_F(LaneSlab, is_a_violation_where_there_is_no_area) {
  LaneConsumer bare(lane_.ring(), 0, 0);
  ASSERT_TRUE(producer_.push_slab({0, 1}));
  EXPECT_EQ(bare.poll(record_), Found::violation);
}

}  // namespace
}  // namespace bulkhead::ipc
