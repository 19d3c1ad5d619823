// A topic without a supervisor, split by forks: each child keeps one subscriber and drops all other ends, as
// the parent does with the subscribers.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <bulkhead/topic.hpp>
#include <cstring>
#include <optional>
#include <vector>

#include "base/fd.hpp"
#include "tests/conformance/transports.hpp"
#include "tests/support/descriptors.hpp"

namespace bulkhead::test {
namespace {

constexpr int everything_accounted_for = 17;

Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }

TopicOptions with(Overflow overflow) {
  return {.capacity = 4096, .max_message = 64, .policy = {overflow, 0}};
}

// What a child does: each message is whole, and in its place, until the publisher says that it is over.
int account(Topic& subscriber) {
  std::uint64_t accounted = 0;
  for (;;) {
    const auto message = subscriber.receive(soon());
    if (!message) return message.error().is(Errc::closed) ? everything_accounted_for : 1;
    std::uint64_t number = 0;
    if (message->bytes().size() != sizeof number) return 2;
    std::memcpy(&number, message->bytes().data(), sizeof number);
    accounted += 1 + message->gap();
    if (number != accounted || message->index() != number) return 3;
  }
}

class ForkedTopic : public testing::TestWithParam<Transport> {
 protected:
  void split(const std::vector<TopicOptions>& options) {
    auto topic = connected_topic(GetParam(), options);
    ASSERT_TRUE(topic) << topic.error().to_string();
    for (std::size_t i = 0; i < options.size(); ++i) {
      const pid_t pid = fork();
      if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        Topic mine(std::move(topic->subscribers[i]));
        { const ConnectedTopic dropped(std::move(*topic)); }
        _exit(account(mine));
      }
      pids_.push_back(pid);
    }
    publisher_.emplace(std::move(topic->publisher));
    topic->subscribers.clear();
  }
  void publish(std::uint64_t up_to) {
    while (publisher_->last_published() < up_to) {
      const std::uint64_t number = publisher_->last_published() + 1;
      const auto done = publisher_->publish(std::as_bytes(std::span(&number, 1)), soon());
      ASSERT_TRUE(done) << done.error().to_string();
    }
  }
  int end_of(std::size_t child) {
    int status = 0;
    waitpid(pids_[child], &status, 0);
    pids_[child] = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  void TearDown() override {
    publisher_.reset();
    for (const pid_t pid : pids_) {
      if (pid == 0) continue;
      ::kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    EXPECT_EQ(open_descriptors(), descriptors_);
  }

  const decltype(open_descriptors()) descriptors_ = open_descriptors();
  std::optional<Topic> publisher_;
  std::vector<pid_t> pids_;
};

TEST_P(ForkedTopic, reaches_every_child_by_its_own_policy) {
  split({with(Overflow::block), with(Overflow::drop_oldest), with(Overflow::drop_newest),
         with(Overflow::conflate)});
  publish(20'000);
  publisher_->close();
  for (std::size_t child = 0; child < 4; ++child) {
    EXPECT_EQ(end_of(child), everything_accounted_for) << child;
  }
}

TEST_P(ForkedTopic, goes_on_when_a_child_that_it_waits_for_is_killed) {
  split({with(Overflow::block), with(Overflow::block)});
  publish(100);
  ASSERT_EQ(::kill(pids_[0], SIGSTOP), 0);
  ASSERT_EQ(::kill(pids_[0], SIGKILL), 0);
  publish(5000);
  publisher_->close();
  EXPECT_EQ(end_of(0), -SIGKILL);
  EXPECT_EQ(end_of(1), everything_accounted_for);
}

TEST_P(ForkedTopic, tells_the_children_that_their_publisher_is_gone) {
  split({with(Overflow::block), with(Overflow::conflate)});
  publish(10);
  publisher_.reset();
  for (std::size_t child = 0; child < 2; ++child) {
    EXPECT_EQ(end_of(child), everything_accounted_for) << child;
  }
}

// The child that is killed waits from outside: its word says so for ever.
TEST_P(ForkedTopic, goes_on_when_a_child_that_waits_for_any_is_killed) {
  auto topic = connected_topic(GetParam(), std::vector{with(Overflow::block)});
  ASSERT_TRUE(topic);
  base::FdPair asleep = base::make_pipe().value();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Topic mine(std::move(topic->subscribers[0]));
    { const ConnectedTopic dropped(std::move(*topic)); }
    const std::array<Topic*, 1> only{&mine};
    if (!wait_any(only, soon()) || !mine.receive(soon())) _exit(1);
    static_cast<void>(wait_any(only, Deadline::in(std::chrono::milliseconds(1))));
    if (::write(asleep.second.get(), "", 1) != 1) _exit(2);
    static_cast<void>(wait_any(only, soon()));
    _exit(3);
  }
  pids_.push_back(pid);
  publisher_.emplace(std::move(topic->publisher));
  topic->subscribers.clear();
  publish(1);
  char byte = 0;
  ASSERT_EQ(::read(asleep.first.get(), &byte, 1), 1);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_EQ(end_of(0), -SIGKILL);
  Result<void> done;
  while ((done = publisher_->publish({}, soon()))) {
  }
  EXPECT_TRUE(done.error().is(Errc::peer_died)) << done.error().to_string();
}

TEST_P(ForkedTopic, death_of_the_publisher_ends_a_wait_for_any) {
  auto topic = connected_topic(GetParam(), std::vector{with(Overflow::block)});
  ASSERT_TRUE(topic);
  const pid_t pid = fork();
  if (pid == 0) {
    Topic mine(std::move(topic->publisher));
    { const ConnectedTopic dropped(std::move(*topic)); }
    if (!mine.publish({}, soon())) _exit(1);
    ::kill(::getpid(), SIGKILL);
  }
  pids_.push_back(pid);
  Topic subscriber(std::move(topic->subscribers[0]));
  { const ConnectedTopic dropped(std::move(*topic)); }
  const std::array<Topic*, 1> only{&subscriber};
  EXPECT_TRUE(wait_any(only, soon()));
  EXPECT_TRUE(subscriber.receive(soon()));
  EXPECT_TRUE(wait_any(only, soon()));
  const auto end = subscriber.receive(soon());
  ASSERT_FALSE(end);
  EXPECT_TRUE(end.error().is(Errc::peer_died)) << end.error().to_string();
  EXPECT_EQ(end_of(0), -SIGKILL);
}

BULKHEAD_OVER_ALL_TRANSPORTS(ForkedTopic);

}  // namespace
}  // namespace bulkhead::test
