// Bringing actual and desired state together: starting, stopping, and noticing the end.
#include <algorithm>

#include "supervisor/core_reconciler.hpp"

namespace bulkhead::supervisor {

using enum InstanceStatus;

namespace {

Fact fact_for(DependsOn level) noexcept {
  switch (level) {
    case DependsOn::started: return Fact::started;
    case DependsOn::ready: return Fact::ready;
    case DependsOn::completed: break;
  }
  return Fact::completed;
}

}  // namespace

std::vector<Action> Reconciler::reconcile() && {
  reconcile_touched();
  if (only_spares_are_left()) {
    const CoreIndex& index = state_.index;
    const bool bad_end = index.count(Fact::failed) + index.count(Fact::waiting) > 0;
    end_system(bad_end ? 1 : 0);
    reconcile_touched();
  }
  say_finished_if_so();
  return std::move(actions_);
}

void Reconciler::reconcile_touched() {
  const std::uint32_t tokens = std::max(plan_.max_parallel_starts, 1U);
  Slot slot = 0;
  bool more = true;
  while (more) {
    more = state_.index.take_touched(slot);
    if (!more && state_.index.count(Fact::takes_token) < tokens) {
      more = state_.index.take_queued(slot);
    }
    if (more) reconcile_slot(slot);
  }
}

void Reconciler::reconcile_slot(Slot slot) {
  if (is_spare(slot)) return reconcile_spare(slot);
  const InstanceState& instance = at(slot);
  if (instance.pid != 0) return reconcile_process(slot);
  const bool has_end = instance.status == done || instance.status == failed;
  if (instance.status == starting || instance.status == disabled)
    return;  // news will come; or none
  if (instance.desired == Desired::down || (state_.stopping && !has_end)) {
    set_status(slot, disabled);
    announce(Announce::Type::stopped, slot);
  } else if (instance.status == waiting) {
    try_start(slot);
  }
}

void Reconciler::reconcile_process(Slot slot) {
  const InstanceState& instance = at(slot);
  const bool undisturbed =
      instance.status == starting || instance.status == ready || instance.status == draining;
  if (state_.kill_now && (undisturbed || instance.status == stopping)) {
    kill(slot, KilledFor::shutdown);
  } else if (undisturbed &&
             (instance.desired == Desired::down || instance.restart_requested ||
              (instance.with_group != WithGroup::nothing && may_stop_with_group(slot)) ||
              (state_.stopping && may_stop_now(slot)))) {
    begin_stop(slot);
  }
}

bool Reconciler::needs_met(Slot slot) const noexcept {
  const WorkerPlan& worker = plan_.workers[plan_.instances[slot].worker_index];
  return std::all_of(worker.needs.begin(), worker.needs.end(), [this](const auto& need) {
    return state_.index.count(need.first, fact_for(need.second)) == plan_.workers[need.first].count;
  });
}

bool Reconciler::may_stop_now(Slot slot) const noexcept {
  const WorkerPlan& worker = plan_.workers[plan_.instances[slot].worker_index];
  return std::all_of(worker.needed_by.begin(), worker.needed_by.end(), [this](std::uint32_t other) {
    return state_.index.count(other, Fact::holds_up) == 0;
  });
}

void Reconciler::try_start(Slot slot) {
  InstanceState& instance = at(slot);
  if (instance.due != time_never) return;  // its time has not come
  if (instance.with_group == WithGroup::restart) {
    instance.recovering = false;  // as below
    if (state_.index.detained(instance.held_by) != 0) return;
    release(instance.held_by);
  } else if (waits_for_group(slot)) {
    return;
  }
  if (!needs_met(slot)) {
    instance.recovering = false;  // everybody who waits here comes back at once: throttle them
  } else if (!instance.recovering &&
             state_.index.count(Fact::takes_token) >= std::max(plan_.max_parallel_starts, 1U)) {
    state_.index.queue_for_token(slot);
  } else {
    spawn(slot);
  }
}

// The runs of a scheduled one keep their rhythm, unless one is so late that the next would be due already.
void Reconciler::plan_next_run(Slot slot) noexcept {
  InstanceState& instance = at(slot);
  const TimeNs every = nanoseconds(plan_.instances[slot].every);
  if (instance.next_run > now_) return;  // this is the run again that a killed brain was to begin
  const bool in_time = instance.next_run != 0 && now_ - instance.next_run < every;
  instance.next_run = (in_time ? instance.next_run : now_) + every;
}

void Reconciler::spawn(Slot slot) {
  InstanceState& instance = at(slot);
  const bool is_run = plan_.instances[slot].kind == WorkerKind::scheduled;
  if (is_run && !instance.comes_again) plan_next_run(slot);
  ++instance.generation;
  instance.started_at = now_;
  instance.ready_at = 0;
  instance.ever_ready = false;
  instance.killed_for = KilledFor::nothing;
  if (instance.comes_again) ++instance.restarts;
  instance.comes_again = false;
  set_status(slot, starting);
  if (!promote_spare(slot)) actions_.push_back(Spawn{slot, instance.generation});
}

void Reconciler::begin_stop(Slot slot) {
  InstanceState& instance = at(slot);
  instance.stop_was_asked = true;
  instance.restart_requested = false;
  set_status(slot, stopping, now_ + nanoseconds(plan_.instances[slot].stop.timeout));
  announce(Announce::Type::stopping, slot);
  actions_.push_back(SendStop{slot});
}

void Reconciler::kill(Slot slot, KilledFor reason) {
  at(slot).killed_for = reason;
  set_status(slot, killing, now_ + kill_patience);
  actions_.push_back(KillTree{slot});
}

void Reconciler::begin_shutdown(bool immediately) {
  state_.stopping = true;
  state_.kill_now = state_.kill_now || immediately;
  for (std::uint32_t worker = 0; worker < plan_.workers.size(); ++worker) {
    touch_worker(worker);
    touch_spares(worker);
  }
}

// The operator's word clears the record.
void Reconciler::forgive(Slot slot) {
  InstanceState& instance = at(slot);
  const bool group_gave_up = instance.with_group == WithGroup::fail;
  if (group_gave_up || instance.over_limit_of != no_group) {
    forget_failures_of_group(group_gave_up ? instance.held_by : instance.over_limit_of);
  }
  if (group_gave_up) {
    instance.with_group = WithGroup::nothing;
    instance.held_by = no_group;
  }
  instance.over_limit_of = no_group;
  instance.attempt = 0;
  instance.failures.clear();
  instance.probing = instance.recovering = instance.comes_again = false;
}

// On the way down everything has to be gone, but for what even SIGKILL did not end. Otherwise the end
// has come when nothing lives, no timer runs and nobody was stopped by hand: what still waits then
// waits for something that will not come.
void Reconciler::say_finished_if_so() {
  const CoreIndex& index = state_.index;
  const bool down = state_.stopping && index.count(Fact::alive) == index.count(Fact::given_up);
  const bool over =
      !state_.stopping && index.count(Fact::active) == 0 && index.count(Fact::disabled) == 0;
  if (state_.finished || !(down || over)) return;
  state_.finished = state_.stopping = true;  // the last word: nothing starts any more
  const bool bad_end = down ? index.count(Fact::given_up) > 0
                            : index.count(Fact::failed) + index.count(Fact::waiting) > 0;
  if (bad_end) state_.exit_code = 1;
  actions_.push_back(Finished{state_.exit_code});
}

void Reconciler::set_status(Slot slot, InstanceStatus status, TimeNs due) {
  InstanceState& instance = at(slot);
  instance.status = status;
  instance.due = due;
  const bool has_end = status == disabled || status == done || status == failed;
  const bool failed_with_group = status == failed && instance.with_group == WithGroup::fail;
  if (has_end && !failed_with_group) {
    instance.with_group = WithGroup::nothing;
    instance.held_by = no_group;
  }
  recount(slot);
  state_.index.touch(slot);
}

void Reconciler::recount(Slot slot) {
  const GroupIndex detained_for = state_.index.detained_for(slot);
  const Facts changed = state_.index.recount(plan_, slot, at(slot));
  const std::uint32_t own = plan_.instances[slot].worker_index;
  const WorkerPlan& worker = plan_.workers[own];
  for (const Fact level : {Fact::started, Fact::ready, Fact::completed}) {
    if ((changed & bit(level)) == 0 || state_.index.count(own, level) != worker.count) continue;
    for (const std::uint32_t other : worker.needed_by) touch_worker(other);
  }
  if (state_.stopping && (changed & bit(Fact::holds_up)) != 0 &&
      state_.index.count(own, Fact::holds_up) == 0) {
    for (const auto& need : worker.needs) touch_worker(need.first);
  }
  if ((changed & (bit(Fact::getting_up) | bit(Fact::wants_spares))) != 0) touch_spares(own);
  if (detained_for == no_group) return;
  if ((changed & bit(Fact::leaves)) != 0 && state_.index.count(own, Fact::leaves) == 0) {
    left(detained_for, own);
  }
  if (state_.index.detained(detained_for) == 0) detained_no_more(detained_for);
}

void Reconciler::touch_worker(std::uint32_t worker) {
  const WorkerPlan& touched = plan_.workers[worker];
  for (Slot slot = touched.first; slot < touched.first + touched.count; ++slot) {
    state_.index.touch(slot);
  }
}

void Reconciler::announce(Announce::Type type, Slot slot, TimeNs until) {
  const InstanceState& instance = at(slot);
  const bool with_cause = type == Announce::Type::exited || type == Announce::Type::failed;
  actions_.push_back(Announce{type, slot, instance.generation, instance.pid,
                              with_cause ? instance.last_exit : ExitCause{}, until});
}

State initial_state(const Plan& plan, std::uint64_t seed) {
  State state;
  state.instances.resize(plan.instances.size());
  state.groups.resize(plan.groups.size());
  state.random = seed == 0 ? 1 : seed;  // xorshift never leaves 0
  state.index.rebuild(plan, state.instances);
  return state;
}

std::vector<Action> step(const Plan& plan, State& state, const Event& event, TimeNs now) {
  state.index.forget_visited();
  Reconciler reconciler(plan, state, now);
  std::visit([&reconciler](const auto& happened) { reconciler.on(happened); }, event);
  return std::move(reconciler).reconcile();
}

const std::vector<Slot>& changed_slots(const State& state) noexcept {
  return state.index.visited();
}

const std::vector<GroupIndex>& changed_groups(const State& state) noexcept {
  return state.index.changed_groups();
}

TimeNs next_due(const State& state) noexcept { return state.index.due().next_due(); }

std::vector<Action> resume(const Plan& plan, State& state, const std::vector<Living>& living,
                           TimeNs now) {
  state.index.rebuild(plan, state.instances);
  state.finished = false;  // whether it was heard is not known
  Reconciler reconciler(plan, state, now);
  for (Slot slot = 0; slot < state.instances.size(); ++slot) {
    const Living alive = slot < living.size() ? living[slot] : Living{};
    if (plan.instances[slot].is_spare) {
      reconciler.resume_spare(slot, alive);
    } else {
      reconciler.resume(slot, alive);
    }
  }
  return std::move(reconciler).reconcile();
}

}  // namespace bulkhead::supervisor
