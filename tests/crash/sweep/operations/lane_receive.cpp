// A receiver is killed while it takes, acknowledges, releases and attaches. The sender lives. What each
// step leaves in the end page is written down here by hand, so that it is not the product's own word.
#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "tests/crash/sweep/lane_stage.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

struct Step {
  enum class Kind { take, acknowledge, release } kind;
  std::size_t which;                  // of the messages that wait, from 1
  std::uint64_t taken, acknowledged;  // in the page after the step
};
struct Script {
  const char* name;
  std::vector<Step> steps;
};
using enum Step::Kind;

enum class Ring { lapped, wraps, unattached };
constexpr const char* ring_names[] = {"lapped", "wraps", "unattached"};
constexpr std::size_t waiting = 4;

class Receive final : public Operation {
 public:
  Receive(const Script& script, Ring ring, std::size_t bytes)
      : script_(script), bytes_(bytes), ring_(ring), stage_(4096, ring != Ring::unattached) {
    if (ring != Ring::unattached) stage_.lap(bytes);
    if (ring == Ring::wraps) stage_.advance_to_wrap(bytes);
    base_ = stage_.received();
    for (std::size_t i = 0; i < waiting; ++i) stage_.send(bytes);
  }

  void act(int) override {
    if (ring_ == Ring::unattached) stage_.to.meet(*stage_.from.endpoint);
    for (const Step& step : script_.steps) {
      carry_out(step);
      ++progress_->steps;
    }
  }
  void work_beside(Verdict&) override { stage_.fill(bytes_); }
  void check(Verdict& verdict) override {
    const Step before = after(progress_->steps), next = after(progress_->steps + 1);
    stage_.settle(verdict, {.committed = {},
                            .receiver = Deaths::Receiver{
                                {base_ + before.taken, base_ + next.taken},
                                {base_ + before.acknowledged, base_ + next.acknowledged}}});
  }

 private:
  struct Progress {
    std::atomic<std::uint64_t> steps;
  };

  void carry_out(const Step& step) {
    auto& view = views_[step.which];
    switch (step.kind) {
      case take: view.emplace(std::move(*stage_.to.endpoint->receive(Deadline::now()))); break;
      case acknowledge: view->acknowledge(); break;
      case release: view->release(); break;
    }
  }
  Step after(std::uint64_t steps) const {
    if (steps == 0) return {take, 0, 0, 0};
    return script_.steps[std::min<std::size_t>(steps, script_.steps.size()) - 1];
  }

  const Script script_;
  const std::size_t bytes_;
  const Ring ring_;
  LaneStage stage_;
  std::uint64_t base_ = 0;  // messages that were done with before
  std::array<std::optional<Message>, waiting + 1> views_;
  Shared<Progress> progress_;
};

const std::vector<Script>& scripts() {
  static const std::vector<Script> all{
      {"one", {{take, 1, 1, 0}, {acknowledge, 1, 1, 1}}},
      {"in_order",
       {{take, 1, 1, 0},
        {take, 2, 2, 0},
        {take, 3, 3, 0},
        {acknowledge, 1, 3, 1},
        {acknowledge, 2, 3, 2},
        {acknowledge, 3, 3, 3}}},
      // The cursor passes nobody who is live; a later one covers those before it.
      {"last_first",
       {{take, 1, 1, 0},
        {take, 2, 2, 0},
        {take, 3, 3, 0},
        {acknowledge, 3, 3, 0},
        {acknowledge, 1, 3, 1},
        {acknowledge, 2, 3, 3}}},
      {"middle_first",
       {{take, 1, 1, 0},
        {take, 2, 2, 0},
        {take, 3, 3, 0},
        {acknowledge, 2, 3, 0},
        {acknowledge, 1, 3, 2},
        {acknowledge, 3, 3, 3}}},
      {"released",
       {{take, 1, 1, 0},
        {release, 1, 1, 0},
        {take, 1, 1, 0},
        {acknowledge, 1, 1, 1},
        {take, 2, 2, 1},
        {acknowledge, 2, 2, 2}}},
      {"released_later",
       {{take, 1, 1, 0},
        {take, 2, 2, 0},
        {release, 2, 2, 0},
        {take, 2, 2, 0},
        {acknowledge, 2, 2, 0},
        {acknowledge, 1, 2, 2}}},
  };
  return all;
}

}  // namespace

Rows lane_receive() {
  Rows rows;
  for (const Script& script : scripts()) {
    const auto add = [&](Ring ring, std::size_t bytes) {
      rows.push_back({std::string("lane.receive.") + script.name + '.' +
                          ring_names[static_cast<int>(ring)] + '.' + std::to_string(bytes),
                      [=, &script] { return std::make_unique<Receive>(script, ring, bytes); }});
      rows.back().paused = true;
    };
    for (const std::size_t bytes : {0, 56, 200}) add(Ring::lapped, bytes);
    for (const std::size_t bytes : {200, 500}) add(Ring::wraps, bytes);
    add(Ring::unattached, 56);
  }
  return rows;
}

}  // namespace bulkhead::sweep
