// The core's derived counts.
#include "supervisor/core_index.hpp"

#include "supervisor/core_state.hpp"

namespace bulkhead::supervisor {
namespace {

GroupIndex detainer(const InstanceState& instance, Facts facts) noexcept {
  const bool put_off =
      instance.with_group == WithGroup::restart &&
      (instance.status == InstanceStatus::backoff || instance.status == InstanceStatus::half_open);
  return put_off || (facts & bit(Fact::leaves)) != 0 ? instance.held_by : no_group;
}

// All that is asked about a spare: whether the end has to wait for it, and whether it takes a turn.
Facts facts_of_spare(const InstanceState& spare) noexcept {
  const bool alive = spare.status == InstanceStatus::starting || spare.pid != 0;
  const bool given_up = spare.status == InstanceStatus::unkillable && spare.due == time_never;
  Facts facts = alive ? bit(Fact::alive) : Facts{0};
  if (given_up) facts = static_cast<Facts>(facts | bit(Fact::given_up));
  if (spare.status == InstanceStatus::starting) {
    facts = static_cast<Facts>(facts | bit(Fact::takes_token));
  }
  return facts;
}

}  // namespace

Facts facts_of(const InstancePlan& plan, const InstanceState& instance) noexcept {
  using enum InstanceStatus;
  if (plan.is_spare) return facts_of_spare(instance);
  const InstanceStatus status = instance.status;
  const bool alive = status == starting || instance.pid != 0;
  // What was to complete, and did, has also been started and ready: nobody waits for it for good.
  const bool completed = status == done && plan.kind != WorkerKind::service;
  Facts facts = 0;
  const auto add = [&facts](Fact fact, bool holds) {
    if (holds) facts = static_cast<Facts>(facts | bit(fact));
  };
  add(Fact::started, status == ready || completed || (status == starting && instance.pid != 0));
  add(Fact::ready, status == ready || completed);
  add(Fact::completed, status == done);
  add(Fact::holds_up, alive && status != unkillable);
  add(Fact::alive, alive);
  add(Fact::takes_token, status == starting && !instance.recovering);
  add(Fact::active, alive || status == backoff || status == half_open ||
                        (status == waiting && instance.due != time_never));
  add(Fact::given_up, status == unkillable && instance.due == time_never);
  add(Fact::waiting, status == waiting);
  add(Fact::disabled, status == disabled);
  add(Fact::failed, status == failed);
  add(Fact::getting_up, status == starting || (status == waiting && instance.due == time_never));
  add(Fact::wants_spares, instance.desired == Desired::up && status != disabled && status != done &&
                              status != failed && status != quarantined);
  add(Fact::leaves, instance.with_group != WithGroup::nothing && alive && status != unkillable);
  return facts;
}

void CoreIndex::rebuild(const Plan& plan, const std::vector<InstanceState>& instances) {
  *this = CoreIndex{};
  workers_.assign(plan.workers.size(), Counts{});
  facts_.assign(instances.size(), 0);
  is_touched_.assign(instances.size(), false);
  is_queued_.assign(instances.size(), false);
  detained_.assign(plan.groups.size(), 0);
  detained_for_.assign(instances.size(), no_group);
  due_.reset(instances.size());
  for (Slot slot = 0; slot < instances.size(); ++slot) {
    recount(plan, slot, instances[slot]);
    touch(slot);
  }
}

Facts CoreIndex::recount(const Plan& plan, Slot slot, const InstanceState& instance) {
  due_.set(slot, instance.due);
  const Facts facts = facts_of(plan.instances[slot], instance);
  if (GroupIndex& counted = detained_for_[slot]; counted != detainer(instance, facts)) {
    if (counted != no_group) --detained_[counted];
    counted = detainer(instance, facts);
    if (counted != no_group) ++detained_[counted];
  }
  const auto changed = static_cast<Facts>(facts ^ facts_[slot]);
  if (changed == 0) return 0;
  Counts& worker = workers_[plan.instances[slot].worker_index];
  for (std::size_t fact = 0; fact < fact_count; ++fact) {
    if ((changed >> fact & 1U) == 0) continue;
    if ((facts >> fact & 1U) != 0) {
      ++total_[fact];
      ++worker[fact];
    } else {
      --total_[fact];
      --worker[fact];
    }
  }
  facts_[slot] = facts;
  return changed;
}

void CoreIndex::touch(Slot slot) {
  if (is_touched_[slot]) return;
  is_touched_[slot] = true;
  touched_.push_back(slot);
}

bool CoreIndex::take_touched(Slot& slot) {
  if (touched_.empty()) return false;
  slot = touched_.front();
  touched_.pop_front();
  is_touched_[slot] = false;
  visited_.push_back(slot);
  return true;
}

void CoreIndex::queue_for_token(Slot slot) {
  if (is_queued_[slot]) return;
  is_queued_[slot] = true;
  queued_.push_back(slot);
}

bool CoreIndex::take_queued(Slot& slot) {
  if (queued_.empty()) return false;
  slot = queued_.front();
  queued_.pop_front();
  is_queued_[slot] = false;
  return true;
}

}  // namespace bulkhead::supervisor
