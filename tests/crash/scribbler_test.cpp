// A hostile peer: writes anything over every page that it can write, while the survivor sends, receives,
// holds views and lets them go. Whatever it finds there, the survivor gets a message or an error and
// stays within its mappings; run under the address sanitizer by `make asan`.
//
// BULKHEAD_SCRIBBLES is the number of mutations, BULKHEAD_SEED the seed that a failure printed.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <optional>
#include <random>
#include <thread>

#include "tests/support/environment.hpp"
#include "tests/support/shm_stage.hpp"

namespace bulkhead::test {
namespace {

using ipc::RecordHeader;
using ipc::RecordKind;
using Kind = ipc::LinkUpdate::Kind;

constexpr std::size_t capacity = 16384;

// One incarnation of the peer, and what it does to its own memory.
class Scribbler {
 public:
  Scribbler(std::uint16_t epoch, std::uint64_t seed)
      : segment_(std::move(*ipc::Segment::create({.name = "scribbler",
                                                  .epoch = epoch,
                                                  .ring_capacity = capacity,
                                                  .slab_bytes = capacity}))),
        lane_(segment_.ring(), segment_.page(), 0),
        random_(seed) {
    EXPECT_TRUE(segment_.reserve_slabs(0, capacity));
  }

  const ipc::Segment& segment() const noexcept { return segment_; }

  void scribble() {
    switch (random_() % 8) {
      case 0: return anything(ipc::end_page_bytes, 0);
      case 1: return anything(capacity, ipc::end_page_bytes);
      case 2: return end_page_word();
      case 3:
      case 4: return next_header();
      case 5: return a_cursor();
      default: return honest_message();
    }
  }

 private:
  std::byte* memory() noexcept { return reinterpret_cast<std::byte*>(&segment_.page()); }
  void store(std::size_t offset, std::uint64_t value) noexcept {
    // relaxed: a hostile writer keeps no order.
    reinterpret_cast<std::atomic<std::uint64_t>*>(memory() + offset)
        ->store(value, std::memory_order_relaxed);
  }
  // Values at which a check could be off by one, besides those that nobody would think of.
  std::uint64_t value() {
    static constexpr std::array<std::uint64_t, 12> edges{
        0,        1,          63,   64, 65, 4096, capacity / 2 - 32, capacity / 2, capacity - 64,
        capacity, 1ULL << 47, ~0ULL};
    switch (random_() % 4) {
      case 0: return random_();
      case 1: return random_() % (2 * capacity);
      default: return edges[random_() % edges.size()] + random_() % 3 - 1;
    }
  }
  void anything(std::size_t bytes, std::size_t from) {
    const std::size_t at = random_() % (bytes / 8), words = 1 + random_() % 16;
    for (std::size_t i = 0; i < words && at + i < bytes / 8; ++i)
      store(from + (at + i) * 8, value());
  }
  void end_page_word() {
    static constexpr std::array<std::size_t, 10> offsets{128, 136, 144, 256, 384,
                                                         392, 400, 512, 640, 768};
    store(offsets[random_() % offsets.size()], value());
  }
  // Where the survivor is going to look, with a number that it expects, more often than not.
  void next_header() {
    const std::uint64_t position = lane_.position() & (capacity - 1);
    const auto kind = static_cast<RecordKind>(random_() % 5);
    const auto index = static_cast<std::uint32_t>(
        random_() % 4 == 0 ? random_() : lane_.count() + 1 + random_() % 2);
    store(ipc::end_page_bytes + position + 8, value());
    store(ipc::end_page_bytes + position + 16, value());
    store(ipc::end_page_bytes + position,
          pack(RecordHeader{kind, static_cast<std::uint32_t>(value()), index}));
  }
  void a_cursor() {
    const auto epoch = static_cast<std::uint16_t>(random_() % 4);
    store_acknowledged(segment_.page(), {{epoch, value()}, value()});
    if (random_() % 4 == 0)
      store(384, random_());  // the turn alone: the pair moves while it is read
  }
  void honest_message() {
    std::array<std::byte, 300> bytes{};
    (void)lane_.push(std::span(bytes).first(random_() % bytes.size()));
  }

  ipc::Segment segment_;
  ipc::LaneProducer lane_;
  std::mt19937_64 random_;
};

class Survivor {
 public:
  Survivor(Transport transport, std::uint64_t seed)
      : end_(open_end(
            {.transport = transport, .channel = {.capacity = capacity, .max_message = 4096}})),
        random_(seed) {}

  void meet(const Scribbler& peer) { end_.meet(peer.segment()); }
  void bury(std::uint16_t epoch) { end_.bury(epoch); }

  void act() {
    switch (random_() % 6) {
      case 0:
      case 1:
      case 2: return receive(Deadline::now());
      case 3: return send();
      case 4: return let_go();
      default: wait_from_outside();
    }
  }
  void receive(Deadline deadline) {
    auto message = end_.endpoint->receive(deadline);
    if (!message) return expect_known(message.error());
    ++received_;
    EXPECT_LE(message->bytes().size(), capacity);
    for (const std::byte byte : message->bytes()) sum_ += static_cast<unsigned char>(byte);
    views_.push_back(std::move(*message));
    if (views_.size() > 20) views_.pop_front();
  }
  std::uint64_t received() const noexcept { return received_; }
  std::uint64_t violations() const { return end_.endpoint->stats().violations; }

 private:
  void send() {
    std::array<std::byte, 4096> bytes{};
    if (random_() % 4 == 0) {
      auto lent = end_.channel().loan(1 + random_() % bytes.size(), Deadline::now());
      if (!lent) return expect_known(lent.error());
      if (const auto sent = lent->commit(Deadline::now()); !sent) expect_known(sent.error());
      return;
    }
    const auto sent =
        end_.endpoint->send(std::span(bytes).first(random_() % bytes.size()), Deadline::now());
    if (!sent) expect_known(sent.error());
  }
  void let_go() {
    if (views_.empty()) return;
    const auto at = views_.begin() + static_cast<std::ptrdiff_t>(random_() % views_.size());
    if (random_() % 3 == 0) at->release();
    views_.erase(at);
  }
  void wait_from_outside() {
    (void)end_.endpoint->prepare_receive_wait();
    end_.endpoint->finish_receive_wait();
    (void)end_.endpoint->prepare_send_wait(random_() % 4096);
    end_.endpoint->finish_send_wait();
    (void)end_.endpoint->stats();
  }
  static void expect_known(const Error& error) {
    EXPECT_TRUE(error.is(Errc::would_block) || error.is(Errc::timed_out) ||
                error.is(Errc::protocol_violation) || error.is(Errc::out_of_budget))
        << error.to_string();
  }

  ShmEnd end_;
  std::mt19937_64 random_;
  std::deque<Message> views_;
  std::uint64_t received_ = 0, sum_ = 0;
};

// With unix: what is read of a peer's pages and window, which is the same on all sockets and pipes.
class HostilePeer : public testing::TestWithParam<Transport> {
 protected:
  const std::uint64_t mutations = chosen("BULKHEAD_SCRIBBLES", 5'000'000);
  const std::uint64_t seed = chosen("BULKHEAD_SEED", std::random_device{}());
  void SetUp() override { RecordProperty("seed", std::to_string(seed)); }
  void TearDown() override {
    if (HasFailure())
      std::printf("again with BULKHEAD_SEED=%lu\n", static_cast<unsigned long>(seed));
  }
};

INSTANTIATE_TEST_SUITE_P(, HostilePeer, testing::Values(Transport::shm, Transport::unix_socket),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST_P(HostilePeer, that_scribbles_between_calls_harms_nobody) {
  constexpr std::uint64_t life = 2000;  // mutations of one incarnation
  std::mt19937_64 random(seed);
  Survivor survivor(GetParam(), random());
  std::optional<Scribbler> peer;
  std::uint16_t epoch = 0;
  for (std::uint64_t mutation = 0; mutation < mutations; ++mutation) {
    if (mutation % life == 0) {
      if (peer) survivor.bury(epoch);
      epoch = static_cast<std::uint16_t>(epoch == 0xFFFF ? 1 : epoch + 1);
      peer.emplace(epoch, random());
      survivor.meet(*peer);
    }
    peer->scribble();
    for (auto calls = random() % 3; calls > 0; --calls) survivor.act();
    if (HasFailure()) return;
  }
  EXPECT_GT(survivor.received(), 0U) << "nothing got through: the test has lost its grip";
  EXPECT_GT(survivor.violations(), 0U);
}

// At any moment inside a call. The races are the point, so this is not for the thread sanitizer.
TEST_P(HostilePeer, that_scribbles_during_calls_harms_nobody) {
  std::mt19937_64 random(seed);
  Survivor survivor(GetParam(), random());
  const std::uint64_t lives = mutations / 20000;
  for (std::uint64_t life = 1; life <= lives; ++life) {
    const auto epoch = static_cast<std::uint16_t>(life);
    Scribbler peer(epoch, random());
    survivor.meet(peer);
    std::atomic<bool> over{false};
    std::thread scribbling([&] {
      for (int mutation = 0; mutation < 20000; ++mutation) peer.scribble();
      // relaxed: says only that it is over.
      over.store(true, std::memory_order_relaxed);
    });
    // relaxed: as above.
    while (!over.load(std::memory_order_relaxed)) survivor.act();
    scribbling.join();
    survivor.receive(Deadline::in(std::chrono::milliseconds(1)));  // a wait ends, too
    survivor.bury(epoch);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace bulkhead::test
