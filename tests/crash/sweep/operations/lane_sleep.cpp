// An end is killed while it arms, sleeps and wakes: a receiver that waits for a message, a sender that waits
// for space. The peer rings in between, as the runner says through wake().
#include <atomic>
#include <chrono>

#include "tests/crash/sweep/lane_stage.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

constexpr std::size_t bytes = 56;
Deadline later() { return Deadline::in(std::chrono::seconds(30)); }

struct Progress {
  std::atomic<std::uint64_t> done, safety_net;
};

class SleepingReceiver final : public Operation {
 public:
  SleepingReceiver() {
    stage_.lap(bytes);
    base_ = stage_.sent();
    stage_.plan(bytes);
  }
  void act(int) override {
    const auto message = stage_.to.endpoint->receive(later());
    if (message) progress_->done = 1;
    progress_->safety_net = stage_.to.endpoint->stats().safety_net;
  }
  void wake() override { ring(); }
  void work_beside(Verdict&) override {
    ring();
    was_paused_ = true;
  }
  void check(Verdict& verdict) override {
    verdict.expect(!was_paused_ || progress_->done == 1, "the sleeper did not get its message");
    verdict.expect(progress_->safety_net == 0, "a wake-up was lost");
    const std::uint64_t low = base_ + progress_->done, high = stage_.sent();
    // It lets the message go when act() returns.
    stage_.settle(verdict,
                  {.committed = {}, .receiver = Deaths::Receiver{{low, high}, {base_, high}}});
  }

 private:
  void ring() {
    if (stage_.sent() == base_) stage_.send(bytes);
  }

  LaneStage stage_;
  std::uint64_t base_ = 0;
  bool was_paused_ = false;
  Shared<Progress> progress_;
};

class SleepingSender final : public Operation {
 public:
  SleepingSender() {
    stage_.lap(bytes);
    stage_.fill(bytes);
  }
  void act(int) override {
    const std::uint64_t next = stage_.sent() + 1;
    if (stage_.from.endpoint->send(message_text(next, bytes), later())) progress_->done = 1;
    progress_->safety_net = stage_.from.endpoint->stats().safety_net;
  }
  void wake() override { make_room(); }
  void work_beside(Verdict&) override {
    make_room();
    was_paused_ = true;
  }
  void check(Verdict& verdict) override {
    verdict.expect(!was_paused_ || progress_->done == 1, "the sleeper did not get its space");
    verdict.expect(progress_->safety_net == 0, "a wake-up was lost");
    const std::uint64_t sent = stage_.sent();
    stage_.settle(verdict, {.committed = Range{sent + progress_->done, sent + 1}, .receiver = {}});
  }

 private:
  void make_room() { stage_.receive(); }

  LaneStage stage_;
  bool was_paused_ = false;
  Shared<Progress> progress_;
};

}  // namespace

Rows lane_sleep() {
  return {
      {"lane.sleep.receiver", [] { return std::make_unique<SleepingReceiver>(); }, true},
      {"lane.sleep.sender", [] { return std::make_unique<SleepingSender>(); }, true},
  };
}

}  // namespace bulkhead::sweep
