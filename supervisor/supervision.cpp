#include "supervisor/supervision.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.hpp"

namespace bulkhead::supervisor {
namespace {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

constexpr Slot none = ~Slot{0};
constexpr TimeNs slice = 20'000'000;  // some ten starts

// The slot whose death the event tells of; none: no slot at all.
Slot dead_slot(const Event& event) noexcept {
  if (const auto* exited = std::get_if<Exited>(&event)) return exited->slot;
  if (const auto* failed = std::get_if<ExecFailed>(&event)) return failed->slot;
  return none;
}

}  // namespace

Supervision::Supervision(const Plan& plan, StateRegion& region, SystemRecord record, Shell shell)
    : plan_(plan),
      region_(region),
      record_(record),
      shell_(std::move(shell)),
      state_(initial_state(plan, record.random)),
      saved_(plan.instances.size()) {}

void Supervision::begin(const std::vector<Living>& living, bool fresh, TimeNs now) {
  busy_ = true;
  std::vector<Action> actions;
  if (!fresh) {
    for (Slot slot = 0; slot < plan_.instances.size(); ++slot) {
      if (const auto saved = region_.load(slot)) state_.instances[slot] = *saved;
    }
    for (GroupIndex group = 0; group < plan_.groups.size(); ++group) {
      if (const auto saved = region_.load_group(group)) state_.groups[group] = *saved;
    }
    state_.stopping = record_.stopping != 0;
    state_.kill_now = record_.kill_now != 0;
    state_.finished = record_.finished != 0;
    state_.exit_code = record_.exit_code;
    actions = resume(plan_, state_, living, now);
  }
  save();
  carry_out(std::move(actions));
  busy_ = false;
  apply(Tick{});
}

// The system first: whoever reads that it stops stops the rest. The dead one last: see changed_slots().
void Supervision::save(Slot last) {
  record_.random = state_.random;
  record_.stopping = state_.stopping;
  record_.kill_now = state_.kill_now;
  record_.finished = state_.finished;
  record_.exit_code = state_.exit_code;
  region_.save_system(record_);
  for (const Slot slot : changed_slots(state_)) {
    if (slot != last) save_instance(slot);
  }
  for (const GroupIndex group : changed_groups(state_)) {
    region_.save_group(group, state_.groups[group]);
  }
  if (last != none) save_instance(last);
}

void Supervision::save() { save(none); }

void Supervision::save_instance(Slot slot) {
  if (std::memcmp(&saved_[slot], &state_.instances[slot], sizeof(InstanceState)) == 0) return;
  std::memcpy(&saved_[slot], &state_.instances[slot], sizeof(InstanceState));
  region_.save(slot, state_.instances[slot]);
}

void Supervision::apply(const Event& event) {
  queue_.push_back(event);
  if (!busy_) drain();
}

void Supervision::go_on() {
  if (!busy_ && !starts_.empty()) drain();
}

void Supervision::drain() {
  busy_ = true;
  const TimeNs until = base::monotonic_ns() + slice;
  take_events();
  while (!starts_.empty() && base::monotonic_ns() < until) {
    const Spawn start = starts_.front();
    starts_.pop_front();
    shell_.spawn(start.slot, start.generation);
    take_events();
  }
  if (!starts_.empty()) shell_.later();
  busy_ = false;
  shell_.changed();
}

void Supervision::take_events() {
  while (!queue_.empty()) {
    const Event event = std::move(queue_.front());
    queue_.pop_front();
    auto actions = step(plan_, state_, event, base::monotonic_ns());
    save(dead_slot(event));
    carry_out(std::move(actions));
  }
}

void Supervision::carry_out(std::vector<Action> actions) {
  const bool promotes = std::any_of(actions.begin(), actions.end(), [](const Action& action) {
    return std::holds_alternative<Promote>(action);
  });
  const Overloaded carry{
      [&](const Spawn& action) { starts_.push_back(action); },
      [&](const Promote& action) { shell_.promote(action); },
      [&](const SendStop& action) { shell_.send_stop(action.slot); },
      [&](const KillTree& action) { shell_.kill_tree(action.slot); },
      [&](const SweepTree& action) { shell_.sweep(action.slot); },
      [&](const Announce& action) { shell_.announce(action); },
      [&](const Finished& action) { shell_.finished(action.exit_code); },
  };
  // Whoever waits to step in hears of a death before the world does.
  std::stable_partition(actions.begin(), actions.end(), [&](const Action& action) {
    return !promotes || !std::holds_alternative<Announce>(action);
  });
  for (const Action& action : actions) std::visit(carry, action);
}

}  // namespace bulkhead::supervisor
