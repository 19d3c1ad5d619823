// The book-keeping of slabs: what is lent never overlaps, what came back serves again.
#include "ipc/slab_pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace bulkhead::ipc {
namespace {

constexpr std::size_t kib = 1024;

struct Area {
  std::uint64_t grown = 0;
  bool memory_is_short = false;

  SlabPool::Grow grow() {
    return [this](std::uint64_t offset, std::uint64_t bytes) -> Result<void> {
      if (memory_is_short) return errno_error(ENOSPC, "fallocate");
      EXPECT_EQ(offset, grown) << "memory is had from the bottom up, without holes";
      grown = offset + bytes;
      return {};
    };
  }
};

TEST(SlabPool, gives_blocks_of_the_next_power_of_two) {
  Area area;
  SlabPool pool(1024 * kib, area.grow());
  EXPECT_EQ(pool.take(1)->bytes, kib);
  EXPECT_EQ(pool.take(kib)->bytes, kib);
  EXPECT_EQ(pool.take(kib + 1)->bytes, 2 * kib);
  EXPECT_EQ(pool.lent_bytes(), 4 * kib);
}

TEST(SlabPool, gives_again_first_what_came_back_last) {
  Area area;
  SlabPool pool(1024 * kib, area.grow());
  const Slab a = pool.take(4 * kib).value(), b = pool.take(4 * kib).value();
  pool.give_back(a);
  pool.give_back(b);
  EXPECT_EQ(pool.take(4 * kib)->offset, b.offset);
  EXPECT_EQ(pool.take(4 * kib)->offset, a.offset);
}

TEST(SlabPool, joins_what_it_cut_when_a_larger_block_is_wanted) {
  Area area;
  SlabPool pool(64 * kib, area.grow());
  std::vector<Slab> small;
  for (int i = 0; i < 64; ++i) small.push_back(pool.take(kib).value());
  EXPECT_TRUE(pool.take(1).error().is(Errc::would_block));
  std::shuffle(small.begin(), small.end(), std::mt19937(5));
  for (const Slab slab : small) pool.give_back(slab);
  EXPECT_EQ(pool.take(64 * kib)->offset, 0U);
}

TEST(SlabPool, tells_what_can_never_fit_from_what_may_come_free) {
  Area area;
  SlabPool pool(64 * kib, area.grow());
  EXPECT_TRUE(pool.take(65 * kib).error().is(Errc::out_of_budget));
  const Slab all = pool.take(64 * kib).value();
  EXPECT_TRUE(pool.take(kib).error().is(Errc::would_block));
  pool.give_back(all);
  EXPECT_TRUE(pool.take(kib));
  SlabPool nothing(0, area.grow());
  EXPECT_TRUE(nothing.take(1).error().is(Errc::out_of_budget));
}

TEST(SlabPool, has_memory_before_it_lends_and_only_what_it_needs) {
  Area area;
  SlabPool pool(1024 * kib, area.grow());
  EXPECT_EQ(area.grown, 0U);
  for (int i = 0; i < 1000; ++i) {
    const Slab slab = pool.take(8 * kib).value();
    EXPECT_LE(slab.offset + slab.bytes, area.grown);
    pool.give_back(slab);
  }
  EXPECT_EQ(pool.grown_bytes(), 256 * kib);
}

TEST(SlabPool, lends_nothing_without_memory_and_recovers_with_it) {
  Area area;
  SlabPool pool(1024 * kib, area.grow());
  area.memory_is_short = true;
  const auto refused = pool.take(kib);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::out_of_budget)) << refused.error().to_string();
  EXPECT_EQ(pool.lent_bytes(), 0U);
  area.memory_is_short = false;
  EXPECT_TRUE(pool.take(kib));
}

TEST(SlabPool, never_lends_a_byte_twice) {
  constexpr unsigned seed = 11;
  SCOPED_TRACE(seed);
  Area area;
  SlabPool pool(256 * kib, area.grow());
  std::mt19937 random(seed);
  std::map<std::uint64_t, Slab> lent;  // by offset
  for (int step = 0; step < 20000; ++step) {
    if (random() % 2 == 0) {
      const auto slab = pool.take(1 + random() % (32 * kib));
      if (!slab) continue;
      const auto [at, is_new] = lent.emplace(slab->offset, *slab);
      ASSERT_TRUE(is_new);
      if (at != lent.begin()) {
        const Slab& before = std::prev(at)->second;
        ASSERT_LE(before.offset + before.bytes, slab->offset);
      }
      if (std::next(at) != lent.end()) {
        ASSERT_LE(slab->offset + slab->bytes, std::next(at)->first);
      }
    } else if (!lent.empty()) {
      auto at = std::next(lent.begin(), static_cast<std::ptrdiff_t>(random() % lent.size()));
      pool.give_back(at->second);
      lent.erase(at);
    }
  }
  for (const auto& [offset, slab] : lent) pool.give_back(slab);
  EXPECT_TRUE(pool.take(256 * kib));
}

}  // namespace
}  // namespace bulkhead::ipc
