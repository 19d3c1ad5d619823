// Both ends on one processor, where only one of them runs at a time: whoever waits has to let the other one on.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <bulkhead/channel.hpp>
#include <bulkhead/topic.hpp>
#include <csignal>
#include <cstddef>
#include <cstring>

namespace bulkhead::test {
namespace {

constexpr std::uint64_t messages = 50'000;
constexpr int well = 17;

using Bytes = std::array<std::byte, sizeof(std::uint64_t)>;

Bytes numbered(std::uint64_t number) {
  Bytes bytes;
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

template <class Message>
bool carries(const Result<Message>& message, std::uint64_t number) {
  const Bytes expected = numbered(number);
  return message && message->bytes().size() == expected.size() &&
         std::memcmp(message->bytes().data(), expected.data(), expected.size()) == 0;
}

// Runs the other end in a child, both on the processor where we are.
class OneProcessor : public testing::TestWithParam<WaitMode> {
 protected:
  void SetUp() override {
    ASSERT_EQ(::sched_getaffinity(0, sizeof before_, &before_), 0);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &here);
    ASSERT_EQ(::sched_setaffinity(0, sizeof here, &here), 0);
  }
  void TearDown() override { ::sched_setaffinity(0, sizeof before_, &before_); }

  template <class Body>
  static pid_t start(const Body& body) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(body() ? well : 1);
  }
  static void expect_well(pid_t pid) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == well) << "ended with " << status;
  }

 private:
  cpu_set_t before_{};
};

TEST_P(OneProcessor, carries_question_and_answer) {
  ChannelOptions options;
  options.wait = GetParam();
  auto pair = connected_pair(Transport::shm, options);
  ASSERT_TRUE(pair) << pair.error().to_string();
  auto& [ours, theirs] = *pair;
  const pid_t child = start([&theirs = theirs] {
    for (std::uint64_t i = 0; i < messages; ++i) {
      const auto question = theirs.receive();
      if (!carries(question, i) || !theirs.send(question->bytes())) return false;
    }
    return theirs.stats().safety_net == 0;
  });
  for (std::uint64_t i = 0; i < messages; ++i) {
    ASSERT_TRUE(ours.send(numbered(i)));
    ASSERT_TRUE(carries(ours.receive(), i)) << i;
  }
  EXPECT_EQ(ours.stats().safety_net, 0U);
  expect_well(child);
}

TEST_P(OneProcessor, carries_a_topic_that_one_subscriber_cannot_hold) {
  TopicOptions options{.capacity = 4096, .max_message = 64, .wait = GetParam(), .policy = {}};
  auto topic = connected_topic(Transport::shm, options, 1);
  ASSERT_TRUE(topic) << topic.error().to_string();
  Topic& subscriber = topic->subscribers[0];
  const pid_t child = start([&] {
    for (std::uint64_t i = 0; i < messages; ++i) {
      const auto message = subscriber.receive();
      if (!carries(message, i) || message->gap() != 0) return false;
    }
    return subscriber.stats().safety_net == 0;
  });
  for (std::uint64_t i = 0; i < messages; ++i) {
    ASSERT_TRUE(topic->publisher.publish(numbered(i)));
  }
  EXPECT_EQ(topic->publisher.stats().safety_net, 0U);
  expect_well(child);
}

INSTANTIATE_TEST_SUITE_P(Modes, OneProcessor,
                         testing::Values(WaitMode::adaptive, WaitMode::spin, WaitMode::block),
                         [](const auto& mode) {
                           switch (mode.param) {
                             case WaitMode::adaptive: return "adaptive";
                             case WaitMode::spin: return "spin";
                             default: return "block";
                           }
                         });

}  // namespace
}  // namespace bulkhead::test
