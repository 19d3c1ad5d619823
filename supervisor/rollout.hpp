// Replaces processes after a change: who leaves goes first, then those that must be down together, then the
// rest one by one, so that of N instances N-1 stay ready. Pure: looks at the core's state and says what is to be
// wanted next. Used by the brain; keeps nothing that a successor could not see (docs/design/reload.md).
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "supervisor/core.hpp"

namespace bulkhead::supervisor {

class Rollout {
 public:
  // The slot's incarnations up to `last` are to be replaced.
  void add_rolling(Slot slot, Generation last) {
    rolling_[slot] = last;
    asked_.erase(slot);
  }
  void add_together(Slot slot, Generation last) { together_[slot] = last; }

  struct Step {
    std::vector<Event> wanted;
    bool emptied =
        false;  // all that had to be down together are; they are wanted up in the same step
  };
  // Tell the core, then ask again, until nothing is wanted; and again whenever the core has changed.
  Step next(const Plan&, const State&);

  bool waits(const State&, Slot) const;  // it is still to be replaced, one by one
  bool over(const State&) const;         // nothing is left to be replaced
  // Asked for nothing: next() would only look at everybody.
  bool is_idle() const noexcept { return rolling_.empty() && together_.empty(); }
  void forget_if_done(const State&);
  // A successor did not become ready, so its worker's others stay as they are until it does.
  bool stuck(const Plan&, const State&) const;

 private:
  using Pending = std::map<Slot, Generation>;

  static bool is_replaced(const InstanceState& instance, Generation last) noexcept {
    return instance.generation > last;
  }
  std::vector<Event> send_off(const Plan&, const State&) const;
  void together(const State&, Step&);
  void roll(const Plan&, const State&, std::uint32_t worker, std::vector<Event>&);

  Pending rolling_, together_;
  bool let_up_ = false;   // those of `together_` may start
  std::set<Slot> asked_;  // of `rolling_`: WantRestart has been said by this brain
};

}  // namespace bulkhead::supervisor
