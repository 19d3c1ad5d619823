// The wake-up protocol between two processes with delays around the moment of going to sleep: no wake-up is
// lost, whether both processes, one or none of them may use the expedited barrier.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cstddef>
#include <random>
#include <string>

#include "ipc/wake.hpp"
#include "tests/support/link_actor.hpp"

namespace bulkhead::test {
namespace {

using ipc::LinkUpdate;
using ipc::Side;

// As a container's old system-call filter does.
void forbid_membarrier() {
  std::array filter{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{filter.size(), filter.data()};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

constexpr int messages = 8000;

struct Barriers {
  const char* name;
  bool sender, receiver;  // may use membarrier
};

int play(Stage& stage, Channel& channel, bool begins, std::mt19937& random) {
  const auto deadline = [] { return Deadline::in(std::chrono::seconds(50)); };
  const std::array<std::byte, 16> bytes{};
  for (int i = 0; i < messages; ++i) {
    if (begins || i > 0) {
      for (auto pauses = random() % 600; pauses > 0; --pauses) ipc::cpu_pause();
      if (!channel.send(bytes, deadline())) return 2;
    }
    if (!channel.receive(deadline())) return 3;
  }
  if (!begins && !channel.send(bytes, deadline())) return 4;
  const auto stats = channel.stats();
  stage.progress().safety_net += stats.safety_net;
  stage.progress().returned += stats.sleeps;
  // The other one may still have to read our memory: the test ends both.
  stage.ring(channel.endpoint().spec().side);
  return 0;
}

class ShmWake : public testing::TestWithParam<Barriers> {};

TEST_P(ShmWake, is_never_lost) {
  Stage stage;
  const auto role = [](bool begins) {
    return [begins](Stage& inside, Channel& channel) {
      std::mt19937 random(begins ? 11 : 22);
      return play(inside, channel, begins, random);
    };
  };
  const ChannelOptions options{.capacity = 4096, .max_message = 64, .wait = WaitMode::block};
  ActorSpec from{.side = Side::from, .options = options};
  ActorSpec to{.side = Side::to, .options = options};
  if (!GetParam().sender) from.before_open = forbid_membarrier;
  if (!GetParam().receiver) to.before_open = forbid_membarrier;
  const auto one = Actor::start(stage, from, role(true));
  const auto two = Actor::start(stage, to, role(false));
  one->tell(LinkUpdate::Kind::peer_segment, 1, {two->segment()});
  two->tell(LinkUpdate::Kind::peer_segment, 1, {one->segment()});
  EXPECT_EQ(one->wait(), 0);
  EXPECT_EQ(two->wait(), 0);
  EXPECT_GT(stage.progress().returned, 0U) << "nobody ever slept, so nothing was shown";
  EXPECT_EQ(stage.progress().safety_net, 0U);
}
INSTANTIATE_TEST_SUITE_P(
    , ShmWake,
    testing::Values(Barriers{"with_membarrier", true, true}, Barriers{"with_fences", false, false},
                    Barriers{"when_only_the_sender_is_registered", true, false},
                    Barriers{"when_only_the_receiver_is_registered", false, true}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace bulkhead::test
