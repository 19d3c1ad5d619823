// The pure core put to work: every event goes through step(), the new state is saved before anything
// is done about it, then the actions are carried out in their order. Used by the brain; knows
// no process and no socket: Shell does.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "supervisor/core.hpp"
#include "supervisor/state_region.hpp"

namespace bulkhead::supervisor {

// Programs that are ready once they run would follow each other without an end in sight: after a while the next start
// is put off, so that the brain also answers and beats. Events are never put off.
//
// Threads: the brain's loop. After a crash in the middle: the successor finds the state before or
// after one step; resume() of the core says again what may not have been done.
class Supervision {
 public:
  // Shell calls may themselves apply() events: those are queued and taken after the actions.
  struct Shell {
    std::function<void(Slot, Generation)> spawn;
    std::function<void(Slot)> send_stop, kill_tree, sweep;
    std::function<void(const Announce&)> announce;
    std::function<void(int exit_code)> finished;
    std::function<void()> changed;                // after all of it
    std::function<void()> later;                  // there is more to start: call go_on() soon
    std::function<void(const Promote&)> promote;  // in the place of a spawn, and at once
  };

  Supervision(const Plan&, StateRegion&, SystemRecord, Shell);

  // Begins with what a predecessor left, or afresh. `living` as in resume().
  void begin(const std::vector<Living>& living, bool fresh, TimeNs now);
  void apply(const Event&);
  void go_on();

  const State& state() const noexcept { return state_; }
  const InstanceState& instance(Slot slot) const noexcept { return state_.instances[slot]; }
  // What the brain keeps beside the core's state; saved with the next step, or by save().
  SystemRecord& record() noexcept { return record_; }
  void save();

 private:
  void carry_out(std::vector<Action>);
  void drain();
  void take_events();
  void save(Slot last);
  void save_instance(Slot);

  const Plan& plan_;
  StateRegion& region_;
  SystemRecord record_;
  Shell shell_;
  State state_;
  std::vector<InstanceState> saved_;
  std::deque<Event> queue_;
  std::deque<Spawn> starts_;  // decided, saved, and not tried yet
  bool busy_ = false;
};

}  // namespace bulkhead::supervisor
