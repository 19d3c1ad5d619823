// A pair without a supervisor, split by fork(): who is told what when one half closes, drops the end that it does not
// use, or dies.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <functional>
#include <optional>

#include <bulkhead/channel.hpp>

#include "tests/conformance/transports.hpp"
#include "tests/support/descriptors.hpp"

namespace bulkhead::test {
namespace {

Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }
std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
std::string next(Channel& channel) {
  const auto message = channel.receive(soon());
  if (!message) return message.error().code.message();
  return {reinterpret_cast<const char*>(message->bytes().data()), message->bytes().size()};
}
std::string text_of(Errc code) { return make_error_code(code).message(); }

// The parent keeps the first end, the child the second.
class ForkedPair : public testing::Test {
 protected:
  void split(const std::function<void(Channel&)>& child) {
    auto pair = connected_pair(Transport::shm, {.capacity = 4096, .max_message = 1024});
    ASSERT_TRUE(pair) << pair.error().to_string();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      std::optional<Channel> theirs(std::move(pair->first));
      Channel ours(std::move(pair->second));
      theirs.reset();
      child(ours);
      // Destroys its channel as a program that returns does; the test framework's own exit is not wanted.
      { const Channel gone(std::move(ours)); }
      _exit(0);
    }
    mine_.emplace(std::move(pair->first));
    const Channel dropped(std::move(pair->second));
  }
  void TearDown() override {
    mine_.reset();
    kill();
    EXPECT_EQ(open_descriptors(), descriptors_);
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  const std::size_t descriptors_ = open_descriptors();
  std::optional<Channel> mine_;
  pid_t pid_ = -1;
};

TEST_F(ForkedPair, talks_although_both_halves_dropped_an_end) {
  split([](Channel& channel) {
    while (auto message = channel.receive(soon())) {
      if (!channel.send(message->bytes(), soon())) break;
    }
  });
  for (const char* text : {"a", "b", "c"}) {
    ASSERT_TRUE(mine_->send(as_bytes(text), soon()));
    EXPECT_EQ(next(*mine_), text);
  }
  EXPECT_EQ(mine_->stats().safety_net, 0U);
}

TEST_F(ForkedPair, sees_the_other_half_close) {
  split([](Channel& channel) { static_cast<void>(channel.send(as_bytes("last"), soon())); });
  EXPECT_EQ(next(*mine_), "last");
  EXPECT_EQ(next(*mine_), text_of(Errc::closed));
}

TEST_F(ForkedPair, sees_the_other_half_close_what_it_never_used) {
  split([](Channel&) {});
  EXPECT_EQ(next(*mine_), text_of(Errc::closed));
}

TEST_F(ForkedPair, sees_the_other_half_die_after_its_last_message) {
  split([](Channel& channel) {
    static_cast<void>(channel.send(as_bytes("last"), soon()));
    raise(SIGKILL);
  });
  EXPECT_EQ(next(*mine_), "last");
  EXPECT_EQ(next(*mine_), text_of(Errc::peer_died));
  EXPECT_TRUE(mine_->send(as_bytes("x"), soon()).error().is(Errc::peer_died));
}

// Our copy of its end is then the last one, and to drop it is no farewell.
TEST(ForkedPairOf, any_transport_sees_a_death_that_came_before_its_copy_was_dropped) {
  for (const Transport transport : all_transports) {
    SCOPED_TRACE(to_string(transport));
    auto pair = connected_pair(transport);
    ASSERT_TRUE(pair) << pair.error().to_string();
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      Channel ours(std::move(pair->second));
      { const Channel theirs(std::move(pair->first)); }
      static_cast<void>(ours.send(as_bytes("last"), soon()));
      raise(SIGKILL);
    }
    ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
    { const Channel dropped(std::move(pair->second)); }
    EXPECT_EQ(next(pair->first), "last");
    EXPECT_EQ(next(pair->first), text_of(Errc::peer_died));
  }
}

TEST_F(ForkedPair, sees_the_other_half_die_while_it_waits_for_several) {
  split([](Channel& channel) {
    static_cast<void>(channel.receive(soon()));
    raise(SIGKILL);
  });
  auto quiet = connected_pair(Transport::shm);
  ASSERT_TRUE(quiet);
  ASSERT_TRUE(mine_->send(as_bytes("die"), soon()));
  const std::array channels{&quiet->first, &*mine_};
  const auto found = wait_any(channels, soon());
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(*found, 1U);
  EXPECT_EQ(next(*mine_), text_of(Errc::peer_died));
}

TEST_F(ForkedPair, sees_the_other_half_die_between_short_waits) {
  split([](Channel& channel) {
    static_cast<void>(channel.receive(soon()));
    raise(SIGKILL);
  });
  ASSERT_TRUE(mine_->send(as_bytes("die"), soon()));
  for (;;) {
    const auto message = mine_->receive(Deadline::in(std::chrono::milliseconds(1)));
    ASSERT_FALSE(message);
    if (message.error().is(Errc::peer_died)) break;
    ASSERT_TRUE(message.error().is(Errc::timed_out)) << message.error().to_string();
  }
}

TEST(UnforkedPair, sees_an_end_closed_that_nobody_used) {
  auto pair = connected_pair(Transport::shm);
  ASSERT_TRUE(pair);
  pair->second.close();
  EXPECT_EQ(next(pair->first), text_of(Errc::closed));
}

TEST(UnforkedPair, sees_an_end_closed_that_was_used) {
  auto pair = connected_pair(Transport::shm);
  ASSERT_TRUE(pair && pair->second.send(as_bytes("last")));
  { const Channel gone(std::move(pair->second)); }
  EXPECT_EQ(next(pair->first), "last");
  EXPECT_EQ(next(pair->first), text_of(Errc::closed));
}

}  // namespace
}  // namespace bulkhead::test
