// A topic without a supervisor, split by forks: each child keeps one subscriber and drops all other ends, as
// the parent does with the subscribers.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/topic.hpp>
#include <cstring>
#include <optional>
#include <vector>

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

BULKHEAD_OVER_ALL_TRANSPORTS(ForkedTopic);

}  // namespace
}  // namespace bulkhead::test
