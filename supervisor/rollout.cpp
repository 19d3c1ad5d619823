#include "supervisor/rollout.hpp"

#include <algorithm>

namespace bulkhead::supervisor {
namespace {

using enum InstanceStatus;

bool leaves(const Plan& plan, Slot slot) {
  return plan.workers[plan.instances[slot].worker_index].leaving;
}

// It will not get any further by itself, or somebody wants it down.
bool is_settled(const InstanceState& instance) {
  return instance.desired == Desired::down || is_up(instance);
}

bool is_down(const InstanceState& instance) {
  return instance.pid == 0 && instance.status == disabled;
}

}  // namespace

std::vector<Event> Rollout::send_off(const Plan& plan, const State& state) const {
  std::vector<Event> wanted;
  for (Slot slot = 0; slot < plan.instances.size(); ++slot) {
    if (leaves(plan, slot) && state.instances[slot].desired == Desired::up) {
      wanted.push_back(WantDown{slot});
    }
  }
  return wanted;
}

// Who was stopped by hand before is not among them, so that all of them are wanted up again.
void Rollout::together(const State& state, Step& step) {
  const auto pending = [&](const auto& entry) {
    return !is_replaced(state.instances[entry.first], entry.second);
  };
  if (std::none_of(together_.begin(), together_.end(), pending)) return;
  const bool begun = !std::all_of(together_.begin(), together_.end(), pending);
  const bool all_down = std::all_of(together_.begin(), together_.end(), [&](const auto& entry) {
    return is_down(state.instances[entry.first]);
  });
  if (!let_up_ && !begun && !all_down) {
    for (const auto& [slot, last] : together_) {
      if (state.instances[slot].desired == Desired::up) step.wanted.push_back(WantDown{slot});
    }
    return;
  }
  if (let_up_) return;
  let_up_ = true;
  step.emptied = !begun;
  for (const auto& [slot, last] : together_) {
    if (state.instances[slot].desired == Desired::down) step.wanted.push_back(WantUp{slot});
  }
}

// Who does not run can start again at once: that takes nothing away. Of those that run, one at a time, and
// only while all others are ready.
void Rollout::roll(const Plan& plan, const State& state, std::uint32_t worker,
                   std::vector<Event>& wanted) {
  const WorkerPlan& whole = plan.workers[worker];
  std::optional<Slot> next;
  bool others_ready = true;
  for (Slot slot = whole.first; slot < whole.first + whole.count; ++slot) {
    const InstanceState& instance = state.instances[slot];
    const bool pending = waits(state, slot);
    if (pending && instance.pid == 0) {
      if (asked_.insert(slot).second) wanted.push_back(WantRestart{slot});
    } else if (pending && !next && !asked_.contains(slot) && instance.status == ready) {
      next = slot;
    } else if (pending && !next && !asked_.contains(slot) && instance.status == starting) {
      next = slot;
    }
    if (!is_settled(instance) && slot != next) others_ready = false;
  }
  if (!next || !others_ready) return;
  asked_.insert(*next);
  wanted.push_back(WantRestart{*next});
}

Rollout::Step Rollout::next(const Plan& plan, const State& state) {
  Step step;
  if (state.stopping) return step;
  step.wanted = send_off(plan, state);
  if (!step.wanted.empty()) return step;
  for (Slot slot = 0; slot < plan.instances.size(); ++slot) {
    if (leaves(plan, slot) && state.instances[slot].pid != 0) return step;
  }
  together(state, step);
  std::set<std::uint32_t> workers;
  for (const auto& [slot, last] : rolling_) workers.insert(plan.instances[slot].worker_index);
  for (const auto worker : workers) roll(plan, state, worker, step.wanted);
  return step;
}

bool Rollout::waits(const State& state, Slot slot) const {
  const auto entry = rolling_.find(slot);
  const InstanceState& instance = state.instances[slot];
  return entry != rolling_.end() && !is_replaced(instance, entry->second) &&
         instance.desired == Desired::up;
}

bool Rollout::over(const State& state) const {
  return std::none_of(rolling_.begin(), rolling_.end(),
                      [&](const auto& entry) { return waits(state, entry.first); }) &&
         std::all_of(together_.begin(), together_.end(), [&](const auto& entry) {
           return is_replaced(state.instances[entry.first], entry.second) || let_up_;
         });
}

// Each replacement is settled, so that none can become stuck any more.
void Rollout::forget_if_done(const State& state) {
  const auto settled = [&](const auto& entry) { return is_settled(state.instances[entry.first]); };
  if (is_idle() || !over(state) || !std::all_of(rolling_.begin(), rolling_.end(), settled) ||
      !std::all_of(together_.begin(), together_.end(), settled)) {
    return;
  }
  *this = Rollout{};
}

bool Rollout::stuck(const Plan& plan, const State& state) const {
  return std::any_of(rolling_.begin(), rolling_.end(), [&](const auto& entry) {
    const InstanceState& instance = state.instances[entry.first];
    return is_replaced(instance, entry.second) && keeps_failing(instance) &&
           !leaves(plan, entry.first);
  });
}

}  // namespace bulkhead::supervisor
