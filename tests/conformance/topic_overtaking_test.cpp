// A publisher that overwrites what its subscriber has not read, on every transport and with every policy: what
// comes is whole, what does not is told.
#include <gtest/gtest.h>

#include <bulkhead/topic.hpp>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/conformance/transports.hpp"

namespace bulkhead::test {
namespace {

Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }

// A message of nearly half the ring leaves little of what came before it, often before that was looked at.
class LargeAndSmall : public testing::TestWithParam<std::tuple<Transport, Overflow>> {};

TEST_P(LargeAndSmall, messages_without_pause_arrive_whole_or_are_told) {
  const auto [transport, overflow] = GetParam();
  const TopicOptions options{
      .capacity = 4096, .max_message = 2000, .wait = WaitMode::block, .policy = {overflow, 0}};
  auto topic = connected_topic(transport, options, 1).value();
  constexpr std::uint64_t count = 30'000;
  const auto size_of = [](std::uint64_t number) { return 8 + number * 37 % 1992; };
  std::thread publishing([&] {
    std::vector<std::byte> bytes(2000);
    for (std::uint64_t number = 1; number <= count; ++number) {
      std::memcpy(bytes.data(), &number, sizeof number);
      const auto done = topic.publisher.publish(std::span(bytes).first(size_of(number)), soon());
      ASSERT_TRUE(done) << done.error().to_string();
    }
    topic.publisher.close();
  });
  Topic& subscriber = topic.subscribers[0];
  std::uint64_t last = 0;
  for (;;) {
    const auto message = subscriber.receive(soon());
    if (!message) {
      EXPECT_TRUE(message.error().is(Errc::closed)) << message.error().to_string();
      break;
    }
    std::uint64_t number = 0;
    std::memcpy(&number, message->bytes().data(), sizeof number);
    ASSERT_EQ(number, last + message->gap() + 1);
    ASSERT_EQ(message->bytes().size(), size_of(number));
    last = number;
  }
  publishing.join();
  EXPECT_LE(last, count);
  EXPECT_EQ(subscriber.stats().violations, 0U);
}
INSTANTIATE_TEST_SUITE_P(, LargeAndSmall,
                         testing::Combine(testing::ValuesIn(all_transports),
                                          testing::Values(Overflow::block, Overflow::drop_oldest,
                                                          Overflow::drop_newest,
                                                          Overflow::conflate)),
                         [](const auto& each) {
                           return std::string(to_string(std::get<0>(each.param))) + "_" +
                                  std::string(to_string(std::get<1>(each.param)));
                         });

}  // namespace
}  // namespace bulkhead::test
