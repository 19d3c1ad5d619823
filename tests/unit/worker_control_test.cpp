// The parts of the runtime's control link, each alone: what wakes sleepers, what waits to be sent, what
// comes out of the environment.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <thread>

#include "ipc/control_packet.hpp"
#include "workers/heart.hpp"
#include "workers/inherited.hpp"
#include "workers/outbox.hpp"
#include "workers/sleepers.hpp"

namespace bulkhead::workers {
namespace {

bool readable(int fd, int timeout_ms = 0) {
  pollfd entry = {fd, POLLIN, 0};
  return ::poll(&entry, 1, timeout_ms) == 1;
}

class SleepersTest : public testing::Test {
 protected:
  base::FdPair sockets = base::make_socketpair(SOCK_SEQPACKET).value();
  std::unique_ptr<Sleepers> sleepers = Sleepers::open(sockets.first.get()).value();
};

TEST_F(SleepersTest, are_readable_when_the_socket_is) {
  EXPECT_FALSE(readable(sleepers->fd()));
  ASSERT_EQ(::send(sockets.second.get(), "x", 1, 0), 1);
  EXPECT_TRUE(readable(sleepers->fd()));
}

TEST_F(SleepersTest, do_not_wake_somebody_who_has_looked) {
  sleepers->looked();
  sleepers->changed();
  sleepers->looked();
  sleepers->enter();
  EXPECT_FALSE(readable(sleepers->fd()));
  sleepers->leave();
}

TEST_F(SleepersTest, keep_somebody_from_sleeping_who_has_not_looked_since_the_change) {
  sleepers->looked();
  sleepers->changed();
  sleepers->enter();
  EXPECT_TRUE(readable(sleepers->fd()));
  sleepers->leave();
  EXPECT_FALSE(readable(sleepers->fd())) << "nobody is behind any more";
}

TEST_F(SleepersTest, wake_each_thread_that_sleeps_when_another_took_the_packet) {
  constexpr int threads = 4;
  std::atomic<int> asleep{0}, woken{0};
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&] {
      sleepers->looked();
      sleepers->enter();
      ++asleep;
      if (readable(sleepers->fd(), 30'000)) ++woken;
      sleepers->leave();
    });
  }
  while (asleep != threads) std::this_thread::yield();
  sleepers->changed();
  for (auto& thread : all) thread.join();
  EXPECT_EQ(woken, threads);
  EXPECT_FALSE(readable(sleepers->fd()));
}

TEST_F(SleepersTest, remember_a_signal_until_somebody_takes_it) {
  sleepers->ring_from_signal();
  EXPECT_TRUE(readable(sleepers->fd()));
  EXPECT_TRUE(sleepers->take_signal());
  EXPECT_FALSE(sleepers->take_signal());
  EXPECT_FALSE(readable(sleepers->fd()));
}

class OutboxTest : public testing::Test {
 protected:
  // Fills the socket until it takes no more; how many packets that were.
  int fill() {
    int count = 0;
    while (ipc::send_packet(sockets.first.get(), {{"method", "filler"}})) ++count;
    return count;
  }
  std::optional<nlohmann::json> next() {
    auto packet = ipc::receive_packet(sockets.second.get());
    if (!packet || !*packet) return std::nullopt;
    return std::move((*packet)->body);
  }
  base::FdPair sockets = base::make_socketpair(SOCK_SEQPACKET).value();
  Outbox outbox;
};

TEST_F(OutboxTest, sends_at_once_where_there_is_room) {
  ASSERT_TRUE(outbox.send(sockets.first.get(), {{"n", 1}}));
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(next().value()["n"], 1);
}

TEST_F(OutboxTest, keeps_the_order_of_what_waited_and_what_came_later) {
  const int filler = fill();
  for (int n = 0; n < 5; ++n) ASSERT_TRUE(outbox.send(sockets.first.get(), {{"n", n}}));
  EXPECT_FALSE(outbox.empty());
  for (int i = 0; i < filler; ++i) ASSERT_TRUE(next());
  ASSERT_TRUE(outbox.send(sockets.first.get(), {{"n", 5}}));
  EXPECT_TRUE(outbox.empty());
  for (int n = 0; n <= 5; ++n) EXPECT_EQ(next().value()["n"], n);
}

TEST_F(OutboxTest, keeps_only_the_latest_of_what_replaces_itself) {
  const int filler = fill();
  for (int n = 0; n < 1000; ++n) {
    ASSERT_TRUE(outbox.send_latest(sockets.first.get(), {{"method", "status"}, {"n", n}}));
  }
  for (int i = 0; i < filler; ++i) ASSERT_TRUE(next());
  ASSERT_TRUE(outbox.flush(sockets.first.get()));
  EXPECT_EQ(next().value()["n"], 999);
  EXPECT_FALSE(next());
}

TEST_F(OutboxTest, holds_descriptors_of_its_own_while_a_packet_waits) {
  const int filler = fill();
  {
    auto pipe = base::make_pipe().value();
    const int fds[] = {pipe.first.get()};
    ASSERT_TRUE(outbox.send(sockets.first.get(), {{"n", 1}}, fds));
  }
  for (int i = 0; i < filler; ++i) ASSERT_TRUE(next());
  ASSERT_TRUE(outbox.flush(sockets.first.get()));
  const auto packet = ipc::receive_packet(sockets.second.get()).value();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->fds.size(), 1U);
}

TEST(Heart, beats_into_a_page_that_only_it_can_write) {
  auto heart = Heart::open(7).value();
  const auto region =
      base::MappedRegion::map(heart.page_fd(), ipc::worker_page_bytes, base::Access::read_only)
          .value();
  const auto& page = *reinterpret_cast<const ipc::BeatPage*>(region.data());
  EXPECT_EQ(page.magic.load(), ipc::BeatPage::magic_value);
  EXPECT_EQ(page.generation.load(), 7U);
  EXPECT_EQ(page.phase.load(), static_cast<std::uint32_t>(ipc::BeatPhase::starting));
  const auto before = page.beat.load();
  heart.beat();
  EXPECT_GT(page.beat.load(), before);
  heart.sleeping(true);
  EXPECT_EQ(page.phase.load(), static_cast<std::uint32_t>(ipc::BeatPhase::idle));
  heart.sleeping(false);
  EXPECT_EQ(page.phase.load(), static_cast<std::uint32_t>(ipc::BeatPhase::busy));
  EXPECT_FALSE(
      base::MappedRegion::map(heart.page_fd(), ipc::worker_page_bytes, base::Access::read_write));
}

class Environment : public testing::Test {
 protected:
  void TearDown() override {
    ::unsetenv("BULKHEAD_CONTROL_FD");
    ::unsetenv("BULKHEAD_GENERATION");
  }
};

TEST_F(Environment, without_a_control_descriptor_means_no_supervisor) {
  const auto inherited = take_inherited();
  ASSERT_TRUE(inherited);
  EXPECT_FALSE(inherited->has_value());
}

TEST_F(Environment, gives_the_socket_away_once_and_keeps_it_from_children) {
  auto pair = base::make_socketpair(SOCK_SEQPACKET).value();
  ASSERT_TRUE(base::set_cloexec(pair.first.get(), false));
  ::setenv("BULKHEAD_CONTROL_FD", std::to_string(pair.first.release()).c_str(), 1);
  ::setenv("BULKHEAD_GENERATION", "7", 1);
  const auto inherited = take_inherited();
  ASSERT_TRUE(inherited && inherited->has_value());
  EXPECT_EQ((*inherited)->generation, 7U);
  EXPECT_NE(::fcntl((*inherited)->control.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(std::getenv("BULKHEAD_CONTROL_FD"), nullptr);
}

TEST_F(Environment, that_names_no_control_socket_is_an_error_that_says_so) {
  for (const char* const wrong : {"", "abc", "-1", "3x", "999", "0"}) {
    ::setenv("BULKHEAD_CONTROL_FD", wrong, 1);
    const auto inherited = take_inherited();
    ASSERT_FALSE(inherited) << wrong;
    EXPECT_NE(inherited.error().context.find("BULKHEAD_CONTROL_FD"), std::string::npos);
  }
}

}  // namespace
}  // namespace bulkhead::workers
