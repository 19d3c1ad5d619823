// Sender and receiver of one lane are both killed. Each works where the other does not look (I4): the sender
// behind the messages that the receiver takes, in a ring with room, so that neither changes the other's path.
#include <atomic>
#include <optional>

#include "tests/crash/sweep/lane_stage.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

class Both final : public Operation {
 public:
  explicit Both(std::size_t bytes) : bytes_(bytes) {
    stage_.lap(bytes);
    base_ = stage_.received();
    for (int i = 0; i < 2; ++i) stage_.send(bytes);
    stage_.plan(bytes);
    progress_->committed = stage_.sent();
  }

  void act(int actor) override { actor == 0 ? send() : receive(); }
  void check(Verdict& verdict) override {
    const std::uint64_t committed = progress_->committed;
    const std::uint64_t taken = base_ + progress_->taken;
    const std::uint64_t acknowledged = base_ + progress_->acknowledged;
    stage_.settle(verdict, {.committed = Range{committed, committed + 1},
                            .receiver = Deaths::Receiver{{taken, taken + 1},
                                                         {acknowledged, acknowledged + 1}}});
  }

 private:
  struct Progress {
    std::atomic<std::uint64_t> committed, taken, acknowledged;
  };

  void send() {
    const std::uint64_t next = stage_.sent() + 1;
    if (stage_.from.endpoint->send(message_text(next, bytes_), Deadline::now())) {
      progress_->committed = next;
    }
  }
  void receive() {
    std::optional<Message> views[2];
    for (auto& view : views) {
      view.emplace(std::move(*stage_.to.endpoint->receive(Deadline::now())));
      ++progress_->taken;
    }
    for (auto& view : views) {
      view->acknowledge();
      ++progress_->acknowledged;
    }
  }

  const std::size_t bytes_;
  LaneStage stage_;
  std::uint64_t base_ = 0;
  Shared<Progress> progress_;
};

}  // namespace

Rows lane_both() {
  Rows rows;
  for (const std::size_t bytes : {24, 56, 200, 1000}) {
    rows.push_back(
        {"lane.both." + std::to_string(bytes), [bytes] { return std::make_unique<Both>(bytes); }});
    rows.back().pair = true;
    rows.back().killed = false;
  }
  return rows;
}

}  // namespace bulkhead::sweep
