// Jobs and results as messages, and the ledger of who has which job.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "workers/builtin/job.hpp"

namespace bulkhead::workers {
namespace {

WordCount some_count(int identifiers) {
  WordCount count;
  count.bytes = 1000;
  count.lines = 10;
  count.words = 100;
  for (int i = 0; i < identifiers; ++i) {
    count.count_identifier("name" + std::to_string(i * 7919), static_cast<std::uint64_t>(i) + 1);
  }
  return count;
}

const Job some_job{{7, 3}, {{"/usr/include/stdio.h", 100, 200}, {"", 0, 0}, {"x", 1, 2}}};

TEST(JobMessage, comes_out_as_it_went_in) {
  const auto back = decode_job(encode(some_job)).value();
  EXPECT_EQ(back.id, some_job.id);
  EXPECT_EQ(back.pieces, some_job.pieces);
}

TEST(JobMessage, is_no_poison_and_poison_is_no_job) {
  EXPECT_FALSE(is_poison(encode(some_job)));
  EXPECT_FALSE(is_poison({}));
  EXPECT_TRUE(is_poison(encode_poison({7, 3})));
  EXPECT_FALSE(decode_job(encode_poison({7, 3})));
}

TEST(JobMessage, is_as_long_as_its_pieces_say) {
  std::size_t bytes = job_bytes_empty;
  for (const auto& piece : some_job.pieces) bytes += encoded_bytes(piece);
  EXPECT_EQ(encode(some_job).size(), bytes);
}

TEST(JobMessage, is_refused_when_it_is_cut_short_or_too_long_or_something_else) {
  auto bytes = encode(some_job);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_job(std::span(bytes).first(size))) << size;
  }
  EXPECT_FALSE(decode_result(bytes));
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(decode_job(bytes));
}

TEST(ResultMessage, is_split_into_parts_that_merge_to_the_whole) {
  const auto count = some_count(5000);
  const auto messages = encode_result({7, 3}, count, {}, 4096);
  EXPECT_GT(messages.size(), 10U);
  WordCount merged;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    EXPECT_LE(messages[i].size(), 4096U);
    const auto part = decode_result(messages[i]).value();
    EXPECT_EQ(part.part, i);
    EXPECT_EQ(part.parts, messages.size());
    merged.merge(part.count);
  }
  EXPECT_EQ(merged, count);
}

TEST(ResultMessage, is_the_same_whoever_makes_it) {
  EXPECT_EQ(encode_result({7, 3}, some_count(500), {}, 1024),
            encode_result({7, 3}, some_count(500), {}, 1024));
}

TEST(ResultMessage, carries_the_longest_identifier_in_the_smallest_message) {
  WordCount count;
  for (char c : {'a', 'b', 'c'}) count.count_identifier(std::string(identifier_bytes_max, c), 1);
  WordCount merged;
  for (const auto& message : encode_result({1, 1}, count, {{0, 2}}, result_message_min)) {
    EXPECT_LE(message.size(), result_message_min);
    merged.merge(decode_result(message).value().count);
  }
  EXPECT_EQ(merged, count);
}

TEST(ResultMessage, names_the_pieces_that_could_not_be_read_once) {
  const std::vector<Failure> failures{{0, 13}, {2, 2}};
  const auto messages = encode_result({7, 3}, some_count(500), failures, 1024);
  ASSERT_GT(messages.size(), 1U);
  EXPECT_EQ(decode_result(messages[0]).value().failures, failures);
  EXPECT_TRUE(decode_result(messages[1]).value().failures.empty());
}

TEST(ResultMessage, survives_any_scribble_without_reading_beyond_its_end) {
  const auto seed = std::random_device()();
  std::mt19937 random(seed);
  const auto original = encode_result({7, 3}, some_count(20), {{1, 2}}, 4096).front();
  for (int round = 0; round < 5000; ++round) {
    auto bytes = original;
    for (int i = 0; i < 4; ++i) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    bytes.resize(random() % (bytes.size() + 1));
    const auto result = decode_result(bytes);
    EXPECT_TRUE(!result || result->part < result->parts) << "seed " << seed;
  }
}

}  // namespace
}  // namespace bulkhead::workers
