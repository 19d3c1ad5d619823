// Both ends of a lane, and both ends of the wake-up protocol, as threads over one mapping: what the
// thread sanitizer can judge.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "ipc/lane_consumer.hpp"
#include "ipc/lane_producer.hpp"
#include "ipc/wake.hpp"
#include "tests/support/plain_lane.hpp"

namespace bulkhead::ipc {
namespace {

using test::PlainLane;

// A message that tells its own number in every byte it has.
struct Numbered {
  std::array<std::byte, 300> bytes;
  std::size_t size;
  explicit Numbered(std::uint64_t index) : size(8 + index % 250) {
    bytes.fill(static_cast<std::byte>(index));
    std::memcpy(bytes.data(), &index, 8);
  }
  std::span<const std::byte> view() const { return {bytes.data(), size}; }
};

TEST(LaneThreads, every_message_arrives_whole_and_in_order_while_the_ring_goes_round) {
  constexpr std::uint64_t messages = 50000;
  PlainLane lane(4096);
  EndPage consumer_page{};
  std::thread producer([&] {
    LaneProducer out(lane.ring(), lane.page(), 0);
    for (std::uint64_t index = 1; index <= messages; ++index) {
      const Numbered message(index);
      while (!out.push(message.view())) {
        const auto acknowledged = load_acknowledged(consumer_page);
        ASSERT_TRUE(!acknowledged || out.reclaim(acknowledged->cursor.position));
        std::this_thread::yield();
      }
    }
  });
  LaneConsumer in(lane.ring(), 0, 0);
  LaneConsumer::Record record;
  for (std::uint64_t index = 1; index <= messages;) {
    const auto found = in.poll(record);
    ASSERT_NE(found, LaneConsumer::Found::violation) << in.complaint();
    if (found == LaneConsumer::Found::nothing) {
      std::this_thread::yield();
      continue;
    }
    const Numbered expected(index++);
    ASSERT_EQ(record.bytes.size(), expected.size);
    ASSERT_EQ(std::memcmp(record.bytes.data(), expected.bytes.data(), expected.size), 0);
    store_acknowledged(consumer_page, {{1, record.end}, record.index});
  }
  producer.join();
}

// The bare protocol with delays around the moment of arming. A lost wake-up shows as a sleep that
// only its time limit ended although the message was there.
class ArmingThreads : public testing::TestWithParam<Barrier> {};

TEST_P(ArmingThreads, lose_no_wake_up) {
  if (GetParam() == Barrier::membarrier && !register_membarrier()) {
    GTEST_SKIP() << "this kernel has no expedited membarrier";
  }
  constexpr std::uint32_t messages = 20000;
  EndPage sleeper_page{}, waker_page{};
  std::atomic<std::uint32_t> sent{0}, taken{0};
  std::uint64_t lost = 0, sleeps = 0;
  std::thread sleeper([&] {
    std::uint32_t sequence = 0;
    for (std::uint32_t next = 1; next <= messages; ++next) {
      // sync test.sent: acquire; pairs with the waker's store; shows the message
      while (sent.load(std::memory_order_acquire) < next) {
        // sync wake.bell: acquire; pairs with ring(); shows what was published before it
        const std::uint32_t rung = waker_page.message_bell.load(std::memory_order_acquire);
        // relaxed: the barrier right after it orders it before the last look.
        sleeper_page.armed.store(arming(++sequence, Sleep::on_futex), std::memory_order_relaxed);
        sleeper_barrier(GetParam());
        if (sent.load(std::memory_order_relaxed) < next) {  // relaxed: behind the barrier
          ++sleeps;
          const FutexWatch watch{&waker_page.message_bell, rung};
          const bool woken =
              futex_wait({&watch, 1}, std::chrono::steady_clock::now() + std::chrono::seconds(5));
          // sync test.sent: acquire; pairs with the waker's store; shows the message
          if (!woken && sent.load(std::memory_order_acquire) >= next) ++lost;
        }
        sleeper_page.armed.store(0,
                                 std::memory_order_relaxed);  // relaxed: late is a ring for nobody
      }
      // sync test.taken: release; pairs with the waker's load; publishes that it may go on
      taken.store(next, std::memory_order_release);
    }
  });
  std::mt19937 random(4711);
  std::uint32_t rung = 0;
  for (std::uint32_t next = 1; next <= messages; ++next) {
    for (auto pauses = random() % 400; pauses > 0; --pauses) cpu_pause();
    // sync test.sent: release; pairs with the sleeper's loads; publishes the message
    sent.store(next, std::memory_order_release);
    waker_barrier(GetParam());
    // relaxed: the barrier right before it orders it after the message.
    const std::uint32_t armed = sleeper_page.armed.load(std::memory_order_relaxed);
    if (armed != 0 && armed != rung) {
      rung = armed;
      ring(waker_page.message_bell);
    }
    // sync test.taken: acquire; pairs with the sleeper's store; shows that it has gone on
    while (taken.load(std::memory_order_acquire) != next) std::this_thread::yield();
  }
  sleeper.join();
  EXPECT_EQ(lost, 0U) << "of " << sleeps << " sleeps";
}
INSTANTIATE_TEST_SUITE_P(, ArmingThreads, testing::Values(Barrier::fences, Barrier::membarrier),
                         [](const auto& tested) {
                           return tested.param == Barrier::fences ? "with_fences"
                                                                  : "with_membarrier";
                         });

TEST(FutexWait, ends_when_any_word_differs_already) {
  std::array<std::atomic<std::uint32_t>, 3> words{};
  for (std::size_t changed = 0; changed < words.size(); ++changed) {
    const std::array watches{FutexWatch{&words[0], changed == 0},
                             FutexWatch{&words[1], changed == 1},
                             FutexWatch{&words[2], changed == 2}};
    const auto late = std::chrono::steady_clock::now() + std::chrono::hours(1);
    EXPECT_TRUE(futex_wait(watches, late));
    EXPECT_TRUE(futex_wait_sliced(watches, late));
  }
}

TEST(FutexWait, says_when_the_time_is_over) {
  std::array<std::atomic<std::uint32_t>, 3> words{};
  const std::array watches{FutexWatch{&words[0], 0}, FutexWatch{&words[1], 0},
                           FutexWatch{&words[2], 0}};
  const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
  EXPECT_FALSE(futex_wait(watches, soon));
  EXPECT_FALSE(futex_wait_sliced(watches, soon));
  EXPECT_GE(std::chrono::steady_clock::now(), soon);
}

TEST(FutexWait, is_woken_by_a_ring_on_any_word) {
  for (std::size_t rung = 0; rung < 3; ++rung) {
    for (const bool sliced : {false, true}) {
      std::array<std::atomic<std::uint32_t>, 3> words{};
      std::thread ringer([&] { ring(words[rung]); });
      const std::array watches{FutexWatch{&words[0], 0}, FutexWatch{&words[1], 0},
                               FutexWatch{&words[2], 0}};
      const auto late = std::chrono::steady_clock::now() + std::chrono::hours(1);
      // sync wake.bell: acquire; pairs with ring(); shows what was published before it
      while (words[rung].load(std::memory_order_acquire) == 0) {
        EXPECT_TRUE(sliced ? futex_wait_sliced(watches, late) : futex_wait(watches, late));
      }
      ringer.join();
    }
  }
}

}  // namespace
}  // namespace bulkhead::ipc
