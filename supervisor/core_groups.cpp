// Whom a death takes along: the strategies of groups, their limits, and the way of a group through a
// restart. All of it is in with_group and held_by of each instance, so that a successor of a killed brain
// finds it there. Whoever is to restart with a group stops, the last member first; nobody of them starts
// before all are gone and the one that died may start.
#include <algorithm>

#include "supervisor/core_reconciler.hpp"

namespace bulkhead::supervisor {

using enum InstanceStatus;

namespace {

std::size_t position(const GroupPlan& group, std::uint32_t worker) noexcept {
  return static_cast<std::size_t>(std::find(group.workers.begin(), group.workers.end(), worker) -
                                  group.workers.begin());
}

}  // namespace

Reconciler::Casualty Reconciler::casualty(Slot slot) const noexcept {
  const std::uint32_t worker = plan_.instances[slot].worker_index;
  const GroupIndex group = plan_.workers[worker].group;
  if (group == no_group) return {};
  const std::size_t at = position(plan_.groups[group], worker);
  return {group, at, at, no_group};
}

// A group that failed, seen from the one around it.
Reconciler::Casualty Reconciler::casualty_of(GroupIndex failed) const noexcept {
  const GroupPlan& group = plan_.groups[failed];
  const std::size_t first = position(plan_.groups[group.parent], group.workers.front());
  return {group.parent, first, first + group.workers.size() - 1, failed};
}

bool Reconciler::group_admits(GroupIndex group) const noexcept {
  const auto& limit = plan_.groups[group].limit;
  return !limit || state_.groups[group].failures.admits(*limit, now_);
}

void Reconciler::record_in_group(GroupIndex group) {
  state_.groups[group].failures.record(now_);
  state_.index.group_changed(group);
}

void Reconciler::forget_failures_of_group(GroupIndex group) {
  state_.groups[group].failures.clear();
  state_.index.group_changed(group);
}

void Reconciler::died_in_group(Slot slot) {
  Casualty dead = casualty(slot);
  if (dead.group == no_group) return come_back(slot);
  if (at(slot).probing) {
    while (dead.group != at(slot).over_limit_of) dead = casualty_of(dead.group);
    take_along(slot, dead);
    return probe_later(slot, dead.group);
  }
  if (!group_admits(dead.group)) return group_over_limit(slot, dead);
  record_in_group(dead.group);
  take_along(slot, dead);
  come_back(slot);
}

// From the inside out: a group that has failed is a death in the group around it.
void Reconciler::group_over_limit(Slot slot, Casualty dead) {
  for (;;) {
    const GroupPlan& group = plan_.groups[dead.group];
    const LimitThen then = group.limit ? group.limit->then : LimitThen::escalate;
    if (then == LimitThen::half_open) {
      take_along(slot, dead);
      return probe_later(slot, dead.group);
    }
    if (then == LimitThen::stop) return fail_group(slot, dead.group);
    if (then == LimitThen::exit || group.parent == no_group) {
      fail(slot);
      return end_system(1);
    }
    forget_failures_of_group(dead.group);
    dead = casualty_of(dead.group);
    if (!group_admits(dead.group)) continue;
    record_in_group(dead.group);
    take_along(slot, dead);
    return come_back(slot);
  }
}

void Reconciler::take_along(Slot slot, const Casualty& dead) {
  if (dead.group == no_group) return;
  const GroupPlan& group = plan_.groups[dead.group];
  const bool whole = dead.failed != no_group;
  const bool alone = group.strategy == GroupStrategy::one_for_one;
  const bool all = group.strategy == GroupStrategy::one_for_all;
  const std::size_t first = all ? 0 : whole ? dead.first : dead.last + 1;
  const std::size_t end = alone ? dead.last + 1 : group.workers.size();
  const GroupIndex holder = alone && whole ? dead.failed : dead.group;
  bool anybody = false;
  for (std::size_t at = first; at < end; ++at) {
    const WorkerPlan& worker = plan_.workers[group.workers[at]];
    for (Slot other = worker.first; other < worker.first + worker.count; ++other) {
      if (other != slot && hold(other, holder)) anybody = true;
    }
  }
  if (!anybody) return;
  at(slot).with_group = WithGroup::restart;
  at(slot).held_by = holder;
}

// True when it starts again with the group.
bool Reconciler::hold(Slot slot, GroupIndex holder) {
  InstanceState& instance = at(slot);
  const bool over =
      instance.status == disabled || instance.status == failed || instance.status == quarantined;
  const bool is_done_with =
      instance.status == done && plan_.instances[slot].restart.policy == RestartPolicy::never;
  const bool between_runs = instance.status == waiting && instance.due != time_never;
  if (over || is_done_with || between_runs || instance.desired == Desired::down) return false;
  instance.with_group = WithGroup::restart;
  instance.held_by = holder;
  if (instance.pid != 0 || instance.status == starting) {
    recount(slot);
    state_.index.touch(slot);
    return true;
  }
  instance.comes_again = instance.generation > 0;
  instance.recovering = false;
  set_status(slot, waiting);
  return true;
}

// A run whose time comes while its group is going down begins with the group.
bool Reconciler::waits_for_group(Slot slot) {
  if (plan_.instances[slot].kind != WorkerKind::scheduled) return false;
  GroupIndex group = plan_.workers[plan_.instances[slot].worker_index].group;
  for (; group != no_group; group = plan_.groups[group].parent) {
    if (state_.index.detained(group) == 0) continue;
    hold(slot, group);
    at(slot).comes_again = false;  // it is the run that was due
    return true;
  }
  return false;
}

void Reconciler::fail_group(Slot slot, GroupIndex group) {
  for (const std::uint32_t index : plan_.groups[group].workers) {
    const WorkerPlan& worker = plan_.workers[index];
    for (Slot other = worker.first; other < worker.first + worker.count; ++other) {
      if (other != slot) fail_with_group(other, group);
    }
  }
  at(slot).with_group = WithGroup::fail;
  at(slot).held_by = group;
  fail(slot);
}

void Reconciler::fail_with_group(Slot slot, GroupIndex group) {
  InstanceState& instance = at(slot);
  const bool over = instance.status == disabled || instance.status == failed ||
                    instance.status == quarantined || instance.status == done;
  if (over || instance.desired == Desired::down) return;
  instance.with_group = WithGroup::fail;
  instance.held_by = group;
  if (instance.pid == 0 && instance.status != starting) return fail(slot);
  recount(slot);
  state_.index.touch(slot);
}

// The last member first; the instances of a worker together.
bool Reconciler::may_stop_with_group(Slot slot) const noexcept {
  const GroupPlan& group = plan_.groups[at(slot).held_by];
  const std::uint32_t own = plan_.instances[slot].worker_index;
  for (auto later = group.workers.rbegin(); later != group.workers.rend() && *later != own;
       ++later) {
    if (state_.index.count(*later, Fact::leaves) != 0) return false;
  }
  return true;
}

// The last process of a worker that had to go is gone: it is the turn of the one before it.
void Reconciler::left(GroupIndex group, std::uint32_t worker) {
  const auto& order = plan_.groups[group].workers;
  for (std::size_t at = position(plan_.groups[group], worker); at-- > 0;) {
    if (state_.index.count(order[at], Fact::leaves) != 0) return touch_worker(order[at]);
  }
}

// Nobody keeps the group from starting any more: in the order of its members.
void Reconciler::detained_no_more(GroupIndex group) {
  for (const std::uint32_t worker : plan_.groups[group].workers) touch_worker(worker);
}

void Reconciler::release(GroupIndex group) {
  for (const std::uint32_t index : plan_.groups[group].workers) {
    const WorkerPlan& worker = plan_.workers[index];
    for (Slot slot = worker.first; slot < worker.first + worker.count; ++slot) {
      InstanceState& instance = at(slot);
      if (instance.with_group != WithGroup::restart || instance.held_by != group) continue;
      instance.with_group = WithGroup::nothing;
      instance.held_by = no_group;
      recount(slot);
      state_.index.touch(slot);
    }
  }
}

}  // namespace bulkhead::supervisor
