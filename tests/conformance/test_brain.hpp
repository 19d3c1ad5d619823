// Plays the supervisor's part for one pair inside a test: starts and buries incarnations of both sides,
// and tells each what "Life of a pair" (docs/design/control-protocol.md) says. An incarnation dies when
// the test destroys its channel and everything received through it, without close().
#pragma once

#include <bulkhead/channel.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/fd.hpp"
#include "ipc/endpoint.hpp"

namespace bulkhead::test {

class TestAttention final : public ipc::Attention {
 public:
  TestAttention();
  const std::atomic<std::uint32_t>& word() const noexcept override { return word_; }
  int fd() const noexcept override { return event_.get(); }
  void service() noexcept override;

  void interrupt() noexcept;  // after something was posted, or a stop flag raised

 private:
  std::atomic<std::uint32_t> word_{0};
  base::UniqueFd event_;
};

class TestBrain {
 public:
  TestBrain(Transport transport, ChannelOptions options);

  // The next incarnation of a side; the other end is told when it lives.
  Channel start(ipc::Side side);
  // Its process is dead for certain. The channel is gone by then.
  void bury(ipc::Side side);
  void stop(ipc::Side side, StopFlag& flag);

  // What the brain would send to a side; for tests that break the order.
  void post(ipc::Side side, ipc::LinkUpdate update);
  void connect();  // a fresh connection for the two living incarnations
  // From now on a grandchild, as it were, keeps every connection open.
  void hold_connections() { holding_ = true; }

 private:
  struct Incarnation {
    std::uint16_t epoch;
    base::UniqueFd segment;
    bool dead = false;
  };
  struct End {
    std::vector<Incarnation> incarnations;
    std::weak_ptr<ipc::Endpoint> living;
    std::shared_ptr<TestAttention> attention;
  };
  End& end(ipc::Side side) { return ends_[static_cast<std::size_t>(side)]; }
  void tell_of(ipc::Side about, const Incarnation& incarnation);

  const Transport transport_;
  const ChannelOptions options_;
  std::array<End, 2> ends_;
  bool holding_ = false;
  std::vector<base::UniqueFd> held_;
};

}  // namespace bulkhead::test
