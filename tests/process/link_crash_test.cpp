// Senders and receivers killed with SIGKILL at random moments, each followed by a successor: nothing that
// was committed is lost, what comes again is exactly what was taken and not acknowledged, no number is missing.
// BULKHEAD_TEST_ROUNDS sets how many times each link is struck (120 by default; four kills in three rounds).
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ipc/end_page.hpp"
#include "ipc/lane_record.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/support/environment.hpp"
#include "tests/support/link_actor.hpp"

namespace bulkhead::test {
namespace {

using ipc::LinkUpdate;
using ipc::Side;

enum ExitStatus { finished = 0, out_of_sequence = 2, wrong_bytes = 3, failed = 4 };

// Of 8 to 1500 bytes; every byte follows from the number.
std::vector<std::byte> message_of(std::uint64_t index) {
  const std::size_t size = 8 + (index * 2654435761U >> 7) % (index % 16 == 0 ? 1493 : 120);
  std::vector<std::byte> bytes(size, static_cast<std::byte>(index * 31));
  std::memcpy(bytes.data(), &index, sizeof index);
  return bytes;
}

int report(const char* who, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", who, error.to_string().c_str());
  return failed;
}

int sender(Stage& stage, Channel& channel) {
  Progress& progress = stage.progress();
  progress.last_committed = channel.last_committed();
  for (;;) {
    const std::uint64_t index = channel.last_committed() + 1;
    if (index > progress.limit) break;
    const auto sent = channel.send(message_of(index), Deadline::in(std::chrono::seconds(50)));
    if (!sent) return report("sender", sent.error());
    progress.committed = index;
    stage.reached(Side::from, index);
  }
  progress.safety_net += channel.stats().safety_net;
  stage.ring(Side::from);
  return finished;
}

// Lets messages go in small random groups, so that a kill finds some taken and not acknowledged; but never
// holds more than an eighth of the ring, or the next message might have to wait for one of these.
int receiver(Stage& stage, Channel& channel) {
  const std::size_t held_bytes_max = channel.endpoint().spec().options.capacity / 8;
  std::size_t held_bytes = 0;
  Progress& progress = stage.progress();
  std::uint64_t expected = channel.resume_point();
  progress.resume_point = expected;
  std::mt19937_64 random(expected);
  std::vector<Message> held;
  for (;; ++expected) {
    if (expected > progress.limit) break;
    auto message = channel.receive(Deadline::in(std::chrono::seconds(50)));
    if (!message) return report("receiver", message.error());
    if (message->redelivered()) {
      if (progress.again_first == 0) progress.again_first = expected;
      progress.again_last = expected;
    }
    progress.returned = expected;
    if (message->index() != expected) return out_of_sequence;
    const auto wanted = message_of(expected);
    const auto bytes = message->bytes();
    if (!std::equal(bytes.begin(), bytes.end(), wanted.begin(), wanted.end())) return wrong_bytes;
    held_bytes += ipc::record_bytes(bytes.size());
    held.push_back(std::move(*message));
    if (held_bytes > held_bytes_max || random() % 4 == 0) {
      held.clear();
      held_bytes = 0;
    }
    stage.reached(Side::to, expected);
  }
  held.clear();
  progress.safety_net += channel.stats().safety_net;
  stage.ring(Side::to);
  return finished;
}

// The brain: holds every segment, starts successors, tells each end of the other.
class Link {
 public:
  Link(Stage& stage, Transport transport, ChannelOptions options)
      : stage_(stage), transport_(transport), options_(options) {
    start(Side::from);
    start(Side::to);
  }

  Actor& actor(Side side) { return *ends_[index_of(side)].back(); }
  // The page of the newest incarnation, dead or alive.
  ipc::PeerSegment page(Side side) {
    return std::move(
        *ipc::Segment::attach_peer(std::move(*base::duplicate(actor(side).segment()))));
  }

  void bury(Side side) {
    dead_[index_of(side)] = actor(side).epoch();
    if (!is_dead(other(side)))
      actor(other(side)).tell(LinkUpdate::Kind::peer_died, actor(side).epoch());
  }

  void start(Side side) {
    auto& line = ends_[index_of(side)];
    ActorSpec spec{.transport = transport_, .side = side, .options = options_};
    if (!line.empty()) {
      spec.epoch = static_cast<std::uint16_t>(line.back()->epoch() + 1);
      spec.predecessor = line.back()->segment();
    }
    line.push_back(Actor::start(stage_, spec, side == Side::from ? sender : receiver));
    const auto& others = ends_[index_of(other(side))];
    if (others.empty()) return;
    // What the newcomer may still have to drain: from the incarnation on that its cursor names.
    const auto cursor = load_acknowledged(page(side).page())->cursor;
    for (const auto& one : others) {
      if (one->epoch() < cursor.epoch) continue;
      line.back()->tell(LinkUpdate::Kind::peer_segment, one->epoch(), {one->segment()});
      if (one->epoch() <= dead_[index_of(other(side))]) {
        line.back()->tell(LinkUpdate::Kind::peer_died, one->epoch());
      }
    }
    if (!is_dead(other(side))) {
      actor(other(side)).tell(LinkUpdate::Kind::peer_segment, spec.epoch, {line.back()->segment()});
      connect();
    }
  }

 private:
  // On shared memory these actors wake each other through the pages alone.
  void connect() {
    if (transport_ == Transport::shm) return;
    auto ends = ipc::make_sockets(transport_).value();
    hand_over(Side::from, ends.from);
    hand_over(Side::to, ends.to);
  }
  void hand_over(Side side, const std::vector<base::UniqueFd>& ends) {
    std::vector<int> fds;
    for (const auto& fd : ends) fds.push_back(fd.get());
    actor(side).tell(LinkUpdate::Kind::sockets, actor(other(side)).epoch(), std::move(fds));
  }
  static std::size_t index_of(Side side) { return static_cast<std::size_t>(side); }
  bool is_dead(Side side) { return dead_[index_of(side)] == actor(side).epoch(); }

  Stage& stage_;
  const Transport transport_;
  const ChannelOptions options_;
  std::vector<std::unique_ptr<Actor>> ends_[2];
  std::uint16_t dead_[2] = {0, 0};
};

struct Medium {
  Transport transport;
  std::size_t capacity;
};

class LinkCrash : public testing::TestWithParam<Medium> {
 protected:
  static constexpr std::uint64_t unknown = ~std::uint64_t{0};

  // Until `side` has come to a message a little ahead, wherever it then is.
  void run_until_near(Link& link, Side side, std::uint64_t ahead) {
    auto& trigger = progress_.trigger[static_cast<std::size_t>(side)];
    drain_event(stage_.bell(side));
    trigger = (side == Side::from ? progress_.committed : progress_.returned).load() + ahead;
    ASSERT_EQ(first_readable({link.actor(side).pidfd(), stage_.bell(side)}), stage_.bell(side))
        << "it ended by itself, or hangs";
    trigger = unknown;
  }

  void replace_sender(Link& link) {
    const std::uint64_t before = std::max(progress_.committed.load(), committed_at_least_);
    progress_.last_committed = unknown;
    link.start(Side::from);
    await(progress_.last_committed);
    // Killed between the commit and its own note of it: one more at most.
    EXPECT_GE(progress_.last_committed, before);
    EXPECT_LE(progress_.last_committed, before + 1);
    committed_at_least_ = progress_.last_committed;
  }

  void replace_receiver(Link& link) {
    check_marks();
    taken_at_least_ = std::max<std::uint64_t>(taken_at_least_, progress_.returned);
    taken_at_most_ = std::max<std::uint64_t>(taken_at_most_, progress_.returned + 1);
    const auto acknowledged = load_acknowledged(link.page(Side::to).page());
    ASSERT_TRUE(acknowledged);
    EXPECT_LE(acknowledged->count, taken_at_most_);
    resumed_ = acknowledged->count + 1;
    progress_.again_first = progress_.again_last = progress_.returned = 0;
    progress_.resume_point = unknown;
    // The trigger counts from where it resumes.
    progress_.returned = acknowledged->count;
    link.start(Side::to);
    await(progress_.resume_point);
    EXPECT_EQ(progress_.resume_point, resumed_);
  }

  // What the receiver was given as redelivered: from its resume point to what its predecessors had taken,
  // where one killed between the word and its return had taken one more.
  void check_marks() {
    const std::uint64_t reached = progress_.returned;
    if (reached < resumed_) return;  // it was killed before it got anything
    if (taken_at_least_ >= resumed_) {
      EXPECT_EQ(progress_.again_first, resumed_);
      EXPECT_GE(progress_.again_last, std::min(reached, taken_at_least_));
    } else if (progress_.again_first != 0) {
      EXPECT_EQ(progress_.again_first, resumed_);
    }
    EXPECT_LE(progress_.again_last, taken_at_most_);
    if (progress_.again_first != 0) ++receivers_with_redelivery_;
  }

  static void await(const std::atomic<std::uint64_t>& word) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (word == unknown && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    ASSERT_NE(word, unknown);
  }

  Stage stage_;
  Progress& progress_ = stage_.progress();
  std::uint64_t committed_at_least_ = 0;  // as the newest sender found it
  std::uint64_t resumed_ = 1, taken_at_least_ = 0, taken_at_most_ = 0;
  int receivers_with_redelivery_ = 0;
  int kills_ = 0;
};

TEST_P(LinkCrash, loses_nothing_and_marks_exactly_what_was_taken) {
  const auto descriptors = open_descriptors();
  const auto [transport, capacity] = GetParam();
  const std::uint64_t seed = 20240229 + capacity;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  {
    Link link(stage_, transport,
              {.capacity = capacity, .max_message = 1500, .wait = WaitMode::adaptive});
    const auto rounds = chosen("BULKHEAD_TEST_ROUNDS", 120);
    for (std::uint64_t round = 0; round < rounds && !HasFailure(); ++round) {
      const auto victim = random() % 3;  // the sender, the receiver, both
      const Side near = victim == 0 || random() % 2 == 0 ? Side::from : Side::to;
      run_until_near(link, victim == 1 ? Side::to : near, 1 + random() % 200);
      if (HasFatalFailure()) break;
      kills_ += victim == 2 ? 2 : 1;
      if (victim != 1) link.actor(Side::from).kill();
      if (victim != 0) link.actor(Side::to).kill();
      if (victim != 1) link.bury(Side::from);
      if (victim != 0) link.bury(Side::to);
      const bool receiver_first = random() % 2 == 0;
      if (victim != 0 && receiver_first) replace_receiver(link);
      if (victim != 1) replace_sender(link);
      if (victim != 0 && !receiver_first) replace_receiver(link);
    }
    progress_.limit = progress_.committed + 20000;
    EXPECT_EQ(link.actor(Side::from).wait(), finished);
    EXPECT_EQ(link.actor(Side::to).wait(), finished);
    EXPECT_EQ(progress_.returned, progress_.limit);
    EXPECT_GT(receivers_with_redelivery_, 0)
        << "the kills never hit between taking and acknowledging";
    EXPECT_EQ(progress_.safety_net, 0U);
    std::printf("%d kills, %llu messages\n", kills_,
                static_cast<unsigned long long>(progress_.limit.load()));
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}
// A small ring is always full and mostly padding; a large one is mostly empty.
INSTANTIATE_TEST_SUITE_P(
    , LinkCrash,
    testing::Values(Medium{Transport::shm, 4096}, Medium{Transport::shm, 65536},
                    Medium{Transport::unix_socket, 4096}, Medium{Transport::unix_socket, 65536},
                    Medium{Transport::tcp, 4096}, Medium{Transport::tcp, 65536},
                    Medium{Transport::pipe, 4096}, Medium{Transport::pipe, 65536}),
    [](const auto& medium) {
      return std::string(to_string(medium.param.transport)) + "_" +
             std::to_string(medium.param.capacity);
    });

}  // namespace
}  // namespace bulkhead::test
