// An end is killed while it rings a doorbell socket, for a peer that polls: the sender after a commit, the
// receiver after an acknowledgement. What it managed before the ring must be found by whoever hears of the
// death; what it had finished must have been rung for.
#include <poll.h>

#include <atomic>

#include "tests/crash/sweep/lane_stage.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

constexpr std::size_t bytes = 56;

bool has_rung(const ipc::WaitPlan& plan) {
  pollfd bell{plan.fd, plan.events, 0};
  return plan.fd >= 0 && poll(&bell, 1, 0) == 1;
}

struct Progress {
  std::atomic<std::uint64_t> done;
};

class MessageBell final : public Operation {
 public:
  MessageBell() {
    stage_.lap(bytes);
    stage_.give_doorbells();
    if (stage_.to.endpoint->prepare_receive_wait()) give_up("sweep: the receiver would not wait");
    stage_.plan(bytes);
  }
  void act(int) override {
    const auto text = message_text(stage_.sent() + 1, bytes);
    if (stage_.from.endpoint->send(text, Deadline::now())) progress_->done = 1;
  }
  void check(Verdict& verdict) override {
    verdict.expect(progress_->done == 0 || has_rung(stage_.to.endpoint->receive_plan()),
                   "a message was committed and nobody rang for it");
    stage_.to.endpoint->finish_receive_wait();
    const std::uint64_t sent = stage_.sent();
    stage_.settle(verdict, {.committed = Range{sent + progress_->done, sent + 1}, .receiver = {}});
  }

 private:
  LaneStage stage_;
  Shared<Progress> progress_;
};

class SpaceBell final : public Operation {
 public:
  SpaceBell() {
    stage_.lap(bytes);
    base_ = stage_.received();
    stage_.give_doorbells();
    stage_.fill(bytes);
    if (stage_.from.endpoint->prepare_send_wait(bytes)) give_up("sweep: the sender would not wait");
  }
  void act(int) override {
    stage_.to.endpoint->receive(Deadline::now())->acknowledge();
    progress_->done = 1;
  }
  void check(Verdict& verdict) override {
    verdict.expect(progress_->done == 0 || has_rung(stage_.from.endpoint->send_plan()),
                   "space was made and nobody rang for it");
    stage_.from.endpoint->finish_send_wait();
    const Range range{base_ + progress_->done, base_ + 1};
    stage_.settle(verdict, {.committed = {}, .receiver = Deaths::Receiver{range, range}});
  }

 private:
  LaneStage stage_;
  std::uint64_t base_ = 0;
  Shared<Progress> progress_;
};

}  // namespace

Rows lane_bell() {
  return {
      {"lane.bell.message", [] { return std::make_unique<MessageBell>(); }},
      {"lane.bell.space", [] { return std::make_unique<SpaceBell>(); }},
  };
}

}  // namespace bulkhead::sweep
