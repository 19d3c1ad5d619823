// A brain, and the child that it starts, are killed while they claim a slot: the word is always one of those
// that (S2) allows, in their order, and a new brain makes of it what it may.
#include <unistd.h>

#include <array>
#include <atomic>
#include <optional>

#include "supervisor/state_region.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

using supervisor::Claim;
using supervisor::StateRegion;

constexpr supervisor::Slot slot = 7;
constexpr std::int32_t ended = supervisor::state_layout::ended_pid;

class Claims final : public Operation {
 public:
  void enter(int) override {
    brain_.emplace(StateRegion::map(memory_.get()).value());
    progress_->pid = getpid();
  }
  void act(int) override {
    brain_->bump(slot);
    ++progress_->steps;
    auto ticket = brain_->ticket(slot, 1);
    supervisor::claim_slot(&ticket, ::getpid());
    ++progress_->steps;
    brain_->end(slot, 1);
    ++progress_->steps;
    brain_->bump(slot);
    ++progress_->steps;
    brain_->settle(slot);
    ++progress_->steps;
    brain_->set_taken_over(9);
  }
  void check(Verdict& verdict) override {
    const std::array<Claim, 6> after{
        {{0, 0}, {1, 0}, {1, progress_->pid}, {1, ended}, {2, 0}, {2, ended}}};
    const std::size_t steps = progress_->steps;
    StateRegion successor = StateRegion::map(memory_.get()).value();
    const Claim found = successor.claim(slot);
    verdict.expect(found == after[steps] || (steps + 1 < after.size() && found == after[steps + 1]),
                   "(S2) the claim is none that the steps allow");
    // A late child of the dead brain: it wins only over its own open intent, and before the new brain looks.
    const Claim settled = successor.settle(slot);
    verdict.expect(settled.generation == found.generation, "(S2) settling changed the generation");
    verdict.expect(settled.generation == 0 || settled.pid != 0, "(S2) an intent stays open");
    auto late = successor.ticket(slot, settled.generation);
    verdict.expect(settled.generation == 0 || !supervisor::claim_slot(&late, ::getpid()),
                   "(S2) a late child takes a slot that was settled");
    verdict.expect(successor.bump(slot) == settled.generation + 1,
                   "(S2) the generation does not grow by one");
  }

 private:
  struct Progress {
    std::atomic<std::uint64_t> steps;
    std::atomic<std::int32_t> pid;
  };
  base::UniqueFd memory_ = StateRegion::create().value();
  std::optional<StateRegion> brain_;
  Shared<Progress> progress_;
};

}  // namespace

Rows state_claims() {
  return {{"state.claims.all", [] { return std::make_unique<Claims>(); }}};
}

}  // namespace bulkhead::sweep
