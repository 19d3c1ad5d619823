// The buckets of latency figures.
#include "bench/histogram.hpp"

#include <gtest/gtest.h>

namespace bulkhead::bench {
namespace {

TEST(Histogram, keeps_small_values_exactly) {
  Histogram histogram;
  for (std::uint64_t value = 0; value < 64; ++value) histogram.add(value);
  EXPECT_EQ(histogram.count(), 64U);
  EXPECT_EQ(histogram.percentile(0), 0U);
  EXPECT_EQ(histogram.percentile(0.5), 32U);
  EXPECT_EQ(histogram.percentile(1), 63U);
}

TEST(Histogram, is_never_off_by_more_than_a_sixty_fourth) {
  for (std::uint64_t value = 1; value < std::uint64_t{1} << 62; value = value * 5 / 3 + 1) {
    Histogram histogram;
    histogram.add(value);
    histogram.add(value * 2);  // so that the maximum does not cap the first
    const std::uint64_t found = histogram.percentile(0.25);
    EXPECT_GE(found, value);
    EXPECT_LE(found - value, value / 64);
  }
}

TEST(Histogram, finds_the_rare_slow_one) {
  Histogram histogram;
  for (int i = 0; i < 999; ++i) histogram.add(100);
  histogram.add(1'000'000);
  EXPECT_LE(histogram.percentile(0.99), 102U);
  EXPECT_EQ(histogram.percentile(0.9995), 1'000'000U);
  EXPECT_EQ(histogram.max(), 1'000'000U);
}

TEST(Histogram, without_samples_says_zero) { EXPECT_EQ(Histogram().percentile(0.5), 0U); }

}  // namespace
}  // namespace bulkhead::bench
