// Batches on a lane by hand: what a consumer finds after each commit, in rings in every state.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "ipc/lane_consumer.hpp"
#include "ipc/lane_producer.hpp"
#include "tests/support/plain_lane.hpp"

namespace bulkhead::ipc {
namespace {

using Found = LaneConsumer::Found;

constexpr std::size_t ring_capacity = 4096;

class LaneBatch : public testing::Test {
 protected:
  // Messages whose bytes all say which number they have.
  bool push(const std::vector<std::size_t>& sizes) {
    std::vector<std::span<const std::byte>> messages;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      messages.push_back(
          std::span(sheets_[(producer_.count() + 1 + i) % sheets_.size()]).first(sizes[i]));
    }
    if (!producer_.push_batch(messages)) return false;
    waiting_.insert(waiting_.end(), sizes.begin(), sizes.end());
    return true;
  }
  // Everything that was committed is there, in order, and nothing else.
  void expect_all() {
    LaneConsumer::Record record;
    for (const std::size_t size : waiting_) {
      ASSERT_EQ(consumer_.poll(record), Found::record) << consumer_.complaint();
      ASSERT_EQ(record.bytes.size(), size);
      const auto& sheet = sheets_[record.index % sheets_.size()];
      ASSERT_TRUE(size == 0 || std::memcmp(record.bytes.data(), sheet.data(), size) == 0);
      ASSERT_TRUE(producer_.reclaim(record.end));
    }
    waiting_.clear();
    ASSERT_EQ(consumer_.poll(record), Found::nothing) << consumer_.complaint();
    EXPECT_EQ(consumer_.last_index(), producer_.count());
    EXPECT_EQ(load_committed(lane_.page())->count, producer_.count());
    EXPECT_EQ(load_committed(lane_.page())->position, producer_.position());
  }
  void SetUp() override {
    for (std::size_t i = 0; i < sheets_.size(); ++i) sheets_[i].fill(static_cast<std::byte>(i + 1));
  }

  test::PlainLane lane_{ring_capacity};
  LaneProducer producer_{lane_.ring(), lane_.page(), 0};
  LaneConsumer consumer_{lane_.ring(), 0, 0};
  std::array<std::array<std::byte, 2048>, 250> sheets_;
  std::vector<std::size_t> waiting_;
};

TEST_F(LaneBatch, shows_its_messages_with_their_numbers) {
  ASSERT_TRUE(push({0, 56, 57, 200}));
  expect_all();
  EXPECT_EQ(producer_.count(), 4U);
  EXPECT_EQ(producer_.position(), 64U + 64 + 128 + 256);
}

TEST_F(LaneBatch, of_none_commits_nothing) {
  ASSERT_TRUE(push({}));
  EXPECT_EQ(producer_.position(), 0U);
  expect_all();
}

// 64 lines: 63 for records, one for the zero head behind them.
TEST_F(LaneBatch, that_does_not_fit_changes_nothing) {
  ASSERT_TRUE(push(std::vector<std::size_t>(61, 56)));
  EXPECT_FALSE(push({56, 56, 56}));
  EXPECT_EQ(producer_.count(), 61U);
  ASSERT_TRUE(push({56, 56}));
  EXPECT_FALSE(push({56}));
  expect_all();
}

TEST_F(LaneBatch, wraps_before_each_of_its_messages) {
  for (std::size_t first = 0; first < 4; ++first) {
    while ((producer_.position() & (ring_capacity - 1)) != ring_capacity - 64 - 256 * first) {
      ASSERT_TRUE(push({8}));
      expect_all();
    }
    ASSERT_TRUE(push({200, 200, 200, 200}));
    expect_all();
  }
}

TEST_F(LaneBatch, of_any_sizes_follows_single_messages_and_others) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::size_t> sizes(random() % 6);
    for (auto& size : sizes) size = random() % 500;
    if (!push(sizes) || random() % 3 == 0) expect_all();
    if (HasFatalFailure()) return;
  }
  expect_all();
}

}  // namespace
}  // namespace bulkhead::ipc
