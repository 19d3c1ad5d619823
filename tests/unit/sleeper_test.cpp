// How one direction learns whether spinning pays, and from when on. What it does about a peer is tested with real ends.
#include "ipc/sleeper.hpp"

#include <gtest/gtest.h>

#include "ipc/first_look.hpp"

namespace bulkhead::ipc {
namespace {

using namespace std::chrono_literals;

class Nobody final : public Attention {
 public:
  const std::atomic<std::uint32_t>& word() const noexcept override { return word_; }
  int fd() const noexcept override { return -1; }
  void service() noexcept override {}

 private:
  std::atomic<std::uint32_t> word_{0};
};

class Pace : public testing::Test {
 protected:
  // On another processor than ours, whichever that is.
  PeerSigns peer() const { return {&bell_, &cpu_, Barrier::fences}; }

  Nobody nobody_;
  std::atomic<std::uint32_t> arming_{0}, own_cpu_{0}, mailbox_{0}, bell_{0}, cpu_{0};
  Sleeper sleeper_{arming_, own_cpu_, mailbox_, nobody_, WaitMode::adaptive};
};

// What came while we were arming came soon: otherwise a slow pace would stay slow, at the price of a barrier on every
// processor for each message.
TEST_F(Pace, is_learnt_also_from_what_came_while_arming) {
  const auto never = [] { return false; };
  do {
    (void)sleeper_.wait(Deadline::in(1ms), peer(), mailbox_, never);
  } while (sleeper_.looks_at_once() > 1);  // until it has slept for too long to spin
  const auto slept = sleeper_.sleeps();
  const auto once_armed = [this] { return arming_.load() != 0; };
  int waits = 0;
  for (; waits < 10'000 && sleeper_.looks_at_once() == 1; ++waits) {
    EXPECT_EQ(sleeper_.wait(Deadline::never(), peer(), mailbox_, once_armed), Sleeper::End::look);
  }
  EXPECT_LT(waits, 10'000) << "it never spins again";
  EXPECT_EQ(sleeper_.sleeps(), slept);
}

TEST(FirstLook, comes_at_once_until_it_was_too_early) {
  FirstLook look;
  EXPECT_EQ(look.pauses(), 0);
  look.found_after(0);
  EXPECT_EQ(look.pauses(), 0);
  look.found_after(1);
  EXPECT_EQ(look.pauses(), 1);
}

// Answers take their time: it settles at a bound, so that one long wait costs the next message little.
TEST(FirstLook, is_never_put_off_for_long) {
  FirstLook look;
  for (int i = 0; i < 100; ++i) look.found_after(look.pauses() + 20);
  EXPECT_EQ(look.pauses(), 2);
}

TEST(FirstLook, comes_sooner_again_when_the_message_was_there) {
  FirstLook look;
  for (int i = 0; i < 2; ++i) look.found_after(5);
  for (int i = 0; i < 2; ++i) look.found_after(look.pauses());
  EXPECT_EQ(look.pauses(), 0);
}

}  // namespace
}  // namespace bulkhead::ipc
