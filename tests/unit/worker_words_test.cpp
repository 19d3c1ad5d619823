// Counting, cutting, merging: whatever way a text is cut, its parts add up to the whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "workers/builtin/survey.hpp"
#include "workers/builtin/word_count.hpp"

namespace bulkhead::workers {
namespace {

using namespace std::string_literals;

WordCount count_of(std::string_view text) {
  WordCount count;
  count.add(text);
  return count;
}

std::uint64_t times(const WordCount& count, std::string_view name) {
  const auto found = count.identifiers.find(name);
  return found == count.identifiers.end() ? 0 : found->second;
}

TEST(WordCount, counts_nothing_in_an_empty_text) { EXPECT_EQ(count_of(""), WordCount{}); }

TEST(WordCount, counts_line_feeds_and_runs_without_white_space) {
  const auto count = count_of(" one\ttwo\n\nthree-four \v\f\r five");
  EXPECT_EQ(count.lines, 2U);
  EXPECT_EQ(count.words, 4U);
  EXPECT_EQ(count.bytes, 29U);
}

TEST(WordCount, takes_letters_and_underscores_for_the_beginning_of_an_identifier) {
  const auto count = count_of("_a1 b::_c2(b) 0x1Fg 9lives d9");
  EXPECT_EQ(times(count, "_a1"), 1U);
  EXPECT_EQ(times(count, "b"), 2U);
  EXPECT_EQ(times(count, "_c2"), 1U);
  EXPECT_EQ(times(count, "d9"), 1U);
  EXPECT_EQ(count.identifiers.size(), 4U) << "numbers are no identifiers";
}

TEST(WordCount, separates_at_bytes_that_are_not_ascii) {
  const auto count = count_of("na\xc3\xafve\xff\0x"s);
  EXPECT_EQ(times(count, "na"), 1U);
  EXPECT_EQ(times(count, "ve"), 1U);
  EXPECT_EQ(times(count, "x"), 1U);
  EXPECT_EQ(count.words, 1U);
}

TEST(WordCount, counts_a_very_long_identifier_by_its_first_bytes) {
  const auto count = count_of(std::string(10'000, 'x') + " " + std::string(9'000, 'x'));
  EXPECT_EQ(times(count, std::string(identifier_bytes_max, 'x')), 2U);
}

TEST(WordCount, orders_the_most_frequent_by_count_and_then_by_name) {
  const auto count = count_of("b b a a c d c d d");
  const std::vector<std::pair<std::string, std::uint64_t>> expected{{"d", 3}, {"a", 2}, {"b", 2}};
  EXPECT_EQ(count.most_frequent(3), expected);
  EXPECT_EQ(count.most_frequent(99).size(), 4U);
}

std::string random_text(std::mt19937& random) {
  static constexpr std::string_view alphabet = "ab_1 \n\t.\xc3";
  std::string text(random() % 400, ' ');
  for (char& c : text) c = alphabet[random() % alphabet.size()];
  return text;
}

// Given in pieces of random sizes.
std::vector<Cutter::Range> cut(const std::string& text, std::uint64_t range_bytes,
                               std::mt19937& random) {
  Cutter cutter(range_bytes);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = std::min<std::size_t>(1 + random() % 37, text.size() - at);
    cutter.feed(std::string_view(text).substr(at, size));
    at += size;
  }
  return cutter.finish();
}

TEST(Cutter, makes_ranges_that_add_up_to_the_whole_text_and_to_its_count) {
  const auto seed = std::random_device()();
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    const auto text = random_text(random);
    const auto ranges = cut(text, 1 + random() % 60, random);
    WordCount sum;
    std::uint64_t end = 0;
    for (const auto& range : ranges) {
      ASSERT_EQ(range.offset, end) << "seed " << seed;
      ASSERT_GT(range.length, 0U) << "seed " << seed;
      end = range.offset + range.length;
      sum.merge(count_of(std::string_view(text).substr(range.offset, range.length)));
    }
    ASSERT_EQ(end, text.size()) << "seed " << seed;
    ASSERT_EQ(sum, count_of(text)) << "seed " << seed << ", text " << text;
  }
}

TEST(Cutter, ends_a_range_after_the_first_white_space_that_is_late_enough) {
  std::mt19937 random(1);
  const auto ranges = cut("aa bb cccccc dd", 4, random);
  ASSERT_EQ(ranges.size(), 3U);
  EXPECT_EQ(ranges[0].length, 6U);  // "aa bb "
  EXPECT_EQ(ranges[1].length, 7U);  // "cccccc "
  EXPECT_EQ(ranges[2].length, 2U);
}

TEST(Cutter, makes_one_range_of_a_text_without_white_space_and_none_of_an_empty_one) {
  std::mt19937 random(1);
  EXPECT_EQ(cut(std::string(5000, 'x'), 10, random).size(), 1U);
  EXPECT_TRUE(cut("", 10, random).empty());
}

}  // namespace
}  // namespace bulkhead::workers
