// Durations and sizes as people write them. Knows nothing of configs.
#include "base/units.hpp"

#include <gtest/gtest.h>

namespace bulkhead::base {
namespace {

using namespace std::chrono_literals;

TEST(Durations, are_a_number_and_a_unit) {
  EXPECT_EQ(*parse_duration("250ms"), 250ms);
  EXPECT_EQ(*parse_duration("5s"), 5s);
  EXPECT_EQ(*parse_duration("2m"), 2min);
  EXPECT_EQ(*parse_duration("1h"), 1h);
  EXPECT_EQ(*parse_duration("1d"), 24h);
  EXPECT_EQ(*parse_duration("7us"), 7us);
  EXPECT_EQ(*parse_duration("7ns"), 7ns);
  EXPECT_EQ(*parse_duration("0ms"), 0ms);
}

TEST(Durations, may_have_a_fraction_that_is_read_exactly) {
  EXPECT_EQ(*parse_duration("0.1s"), 100ms);
  EXPECT_EQ(*parse_duration("1.5m"), 90s);
  EXPECT_EQ(*parse_duration("2.000000001s"), 2s + 1ns);
  EXPECT_FALSE(parse_duration("0.5ns"));
}

TEST(Durations, reach_as_far_as_the_clock_and_no_further) {
  EXPECT_EQ(parse_duration("9223372036854775807ns")->count(), 9223372036854775807);
  EXPECT_FALSE(parse_duration("9223372036854775808ns"));
  EXPECT_FALSE(parse_duration("18446744073709551617ns"));
  EXPECT_FALSE(parse_duration("106752d"));
  EXPECT_FALSE(parse_duration("99999999999999999999999999999999999h"));
}

TEST(Durations, without_a_unit_are_refused_with_the_fix) {
  EXPECT_EQ(parse_duration("250").error().context,
            "\"250\" has no unit (write \"250ms\"; units: ns, us, ms, s, m, h, d)");
  EXPECT_EQ(parse_duration("3 s").error().context,
            "\"3 s\" has a space in it (write \"3s\"; units: ns, us, ms, s, m, h, d)");
  EXPECT_EQ(parse_duration("3sec").error().context,
            "\"3sec\" has the unknown unit \"sec\" (write \"3s\"; units: ns, us, ms, s, m, "
            "h, d)");
  EXPECT_NE(parse_duration("3min").error().context.find("write \"3m\""), std::string::npos);
  EXPECT_NE(parse_duration("3msec").error().context.find("write \"3ms\""), std::string::npos);
  EXPECT_TRUE(parse_duration("250").error().is(Errc::invalid_argument));
}

TEST(Durations, are_neither_negative_nor_words_nor_nothing) {
  EXPECT_EQ(parse_duration("-5s").error().context,
            "\"-5s\" is negative; a duration is not (write one such as \"250ms\")");
  for (const char* text : {"", "s", "soon", ".5s", "5.s", "1e3s", "0x5s", "5s ", " 5s", "1h30m"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Sizes, are_a_number_and_a_binary_unit) {
  EXPECT_EQ(*parse_size("64B"), 64U);
  EXPECT_EQ(*parse_size("64KiB"), 65536U);
  EXPECT_EQ(*parse_size("16MiB"), 16U << 20);
  EXPECT_EQ(*parse_size("1GiB"), 1U << 30);
  EXPECT_EQ(*parse_size("2TiB"), std::uint64_t{2} << 40);
  EXPECT_EQ(*parse_size("1.5KiB"), 1536U);
}

TEST(Sizes, in_a_unit_that_is_doubtful_are_refused_with_the_fix) {
  EXPECT_EQ(parse_size("64KB").error().context,
            "\"64KB\" has the unknown unit \"KB\" (write \"64KiB\"; units: B, KiB, MiB, "
            "GiB, TiB)");
  EXPECT_NE(parse_size("1g").error().context.find("write \"1GiB\""), std::string::npos);
  EXPECT_NE(parse_size("64").error().context.find("write \"64B\""), std::string::npos);
  EXPECT_FALSE(parse_size("0.3B"));
  EXPECT_FALSE(parse_size("99999999TiB"));
}

TEST(Quantities, are_written_so_that_they_read_back_the_same) {
  EXPECT_EQ(format_duration(250ms), "250ms");
  EXPECT_EQ(format_duration(60s), "1m");
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(0s), "0ms");
  EXPECT_EQ(format_duration(-5s), "-5s");
  EXPECT_EQ(format_size(65536), "64KiB");
  EXPECT_EQ(format_size(65537), "65537B");
  EXPECT_EQ(format_size(0), "0B");
  for (std::int64_t ns = 1; ns > 0 && ns < (std::int64_t{1} << 61); ns = ns * 3 + 7) {
    EXPECT_EQ(parse_duration(format_duration(std::chrono::nanoseconds(ns)))->count(), ns);
    EXPECT_EQ(*parse_size(format_size(static_cast<std::uint64_t>(ns))),
              static_cast<std::uint64_t>(ns));
  }
}

}  // namespace
}  // namespace bulkhead::base
