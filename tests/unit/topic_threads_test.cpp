// A publisher that overtakes its subscriber all the time, as threads over one mapping: what the thread
// sanitizer can judge, and every payload checked.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "ipc/topic_consumer.hpp"
#include "ipc/topic_producer.hpp"
#include "tests/support/plain_lane.hpp"

namespace bulkhead::ipc {
namespace {

// The number in every word, and a size that follows from it.
std::vector<std::uint64_t> words_of(std::uint64_t number) {
  return std::vector<std::uint64_t>(1 + number % 37, number * 0x9e3779b97f4a7c15);
}

class TopicThreads : public testing::TestWithParam<bool> {};

TEST_P(TopicThreads, a_message_is_whole_or_told_as_missing) {
  constexpr std::uint64_t messages = 50'000;
  test::PlainLane lane(4096);
  TopicProducer out(lane.ring(), lane.page(), TopicProducer::Overtake::yes, 0, 0);
  std::thread publisher([&] {
    for (std::uint64_t number = 1; number <= messages; ++number) {
      const auto words = words_of(number);
      ASSERT_TRUE(out.push(std::as_bytes(std::span(words))));
      if (number % 64 == 0) std::this_thread::yield();
    }
  });
  TopicConsumer in(lane.page(), lane.ring(), {.conflates = GetParam()});
  TopicConsumer::Message message;
  std::uint64_t last = 0, received = 0;
  while (last != messages) {
    const auto found = in.poll(message);
    ASSERT_NE(found, TopicConsumer::Found::violation) << in.complaint();
    if (found == TopicConsumer::Found::nothing) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_GT(message.number, last);
    last = message.number;
    ++received;
    ASSERT_EQ(message.bytes, 8 * words_of(last).size());
    ASSERT_EQ(message.words, words_of(last)) << "message " << last;
  }
  publisher.join();
  EXPECT_LE(received, messages);
}
INSTANTIATE_TEST_SUITE_P(, TopicThreads, testing::Bool(), [](const auto& tested) {
  return tested.param ? "conflating" : "dropping_the_oldest";
});

}  // namespace
}  // namespace bulkhead::ipc
