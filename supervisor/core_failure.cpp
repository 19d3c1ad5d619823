// What follows a death: was it asked for, is the work done, is a restart due, and when.
#include <algorithm>
#include <cmath>

#include "supervisor/core_reconciler.hpp"

namespace bulkhead::supervisor {

using enum InstanceStatus;

void Reconciler::process_gone(Slot slot, ExitCause cause) {
  if (is_spare(slot)) return spare_gone(slot, cause);
  InstanceState& instance = at(slot);
  const InstancePlan& plan = plan_.instances[slot];
  const WithGroup with_group = instance.with_group;
  const bool asked =
      instance.stop_was_asked || instance.restart_requested || with_group != WithGroup::nothing;
  if (instance.killed_for == KilledFor::watchdog) cause.kind = ExitKind::watchdog;
  if (instance.killed_for == KilledFor::lease) cause.kind = ExitKind::lease;
  instance.last_exit = cause;
  actions_.push_back(SweepTree{slot});
  announce(Announce::Type::exited, slot);
  instance.pid = 0;
  instance.stop_was_asked = instance.restart_requested = false;

  const bool succeeded = cause.kind == ExitKind::exit && cause.code == 0;
  const bool may_be_done =
      plan.kind != WorkerKind::service || plan.restart.policy != RestartPolicy::always;
  if (!asked && succeeded && may_be_done) {
    is_done(slot);
  } else if (instance.desired == Desired::down || state_.stopping) {
    set_status(slot, disabled);
    announce(Announce::Type::stopped, slot);
  } else if (with_group == WithGroup::fail ||
             (with_group == WithGroup::restart && plan.restart.policy == RestartPolicy::never)) {
    fail(slot);
  } else if (with_group == WithGroup::restart) {
    instance.comes_again = true;
    set_status(slot, waiting);
  } else if (asked) {
    forgive(slot);
    instance.comes_again = true;
    set_status(slot, waiting);
  } else if (cause.kind == ExitKind::exit && cause.code == exit_code_configuration) {
    fail(slot);
  } else {
    died_on_its_own(slot);
  }
}

// Nothing ran, so nothing is swept; and it would fail again, so nothing is tried again.
void Reconciler::exec_failed(Slot slot, std::int32_t error_number) {
  if (is_spare(slot)) return spare_gone(slot, ExitCause{ExitKind::exec_failed, error_number, now_});
  InstanceState& instance = at(slot);
  instance.last_exit = ExitCause{ExitKind::exec_failed, error_number, now_};
  instance.pid = 0;
  instance.stop_was_asked = instance.restart_requested = false;
  if (instance.desired == Desired::down || state_.stopping) {
    set_status(slot, disabled);
    announce(Announce::Type::stopped, slot);
  } else {
    fail(slot);
  }
}

void Reconciler::fail(Slot slot) {
  set_status(slot, failed);
  announce(Announce::Type::failed, slot);
  if (plan_.instances[slot].significant != Significant::no) end_with(slot);
}

void Reconciler::is_done(Slot slot) {
  if (plan_.instances[slot].kind == WorkerKind::scheduled) return run_is_over(slot);
  set_status(slot, done);
  if (plan_.instances[slot].significant == Significant::any_exit) end_with(slot);
}

// The exit code of the system: that of the worker, as a shell would tell it.
void Reconciler::end_with(Slot slot) {
  const ExitCause& cause = at(slot).last_exit;
  constexpr int by_signal = 128, not_executed = 127;
  switch (cause.kind) {
    case ExitKind::none: return end_system(1);
    case ExitKind::exec_failed: return end_system(not_executed);
    case ExitKind::exit: {
      const bool failed_for_all = cause.code == 0 && at(slot).status == failed;
      return end_system(failed_for_all ? 1 : cause.code);
    }
    default: return end_system(by_signal + cause.code);
  }
}

// A run that ended well, or is not to be repeated: the next one comes when its time has come.
void Reconciler::run_is_over(Slot slot) {
  InstanceState& instance = at(slot);
  instance.attempt = 0;
  if (instance.probing) trust_again(slot);
  if (instance.desired == Desired::down || state_.stopping) {
    set_status(slot, disabled);
    return announce(Announce::Type::stopped, slot);
  }
  set_status(slot, waiting, instance.next_run > now_ ? instance.next_run : time_never);
}

void Reconciler::died_on_its_own(Slot slot) {
  InstanceState& instance = at(slot);
  const Restart& restart = plan_.instances[slot].restart;
  if (restart.policy == RestartPolicy::never) {
    return plan_.instances[slot].kind == WorkerKind::scheduled ? run_is_over(slot) : fail(slot);
  }
  instance.comes_again = true;
  instance.recovering = instance.ever_ready;
  forget_failures_if_settled(slot);
  // What it needs is away, so its death says nothing about itself.
  if (!needs_met(slot)) {
    take_along(slot, casualty(slot));
    return set_status(slot, waiting);
  }
  const bool probed = instance.probing && instance.over_limit_of == no_group;
  if (restart.limit && (probed || !instance.failures.admits(*restart.limit, now_))) {
    return limit_reached(slot, restart.limit->then);
  }
  instance.failures.record(now_);
  died_in_group(slot);
}

void Reconciler::come_back(Slot slot) {
  InstanceState& instance = at(slot);
  const TimeNs delay = next_delay(slot);
  ++instance.attempt;
  if (delay == 0) return set_status(slot, waiting);
  set_status(slot, backoff, now_ + delay);
  announce(Announce::Type::backoff, slot, now_ + delay);
}

void Reconciler::probe_later(Slot slot, GroupIndex over_limit_of) {
  InstanceState& instance = at(slot);
  const TimeNs due = now_ + nanoseconds(plan_.instances[slot].restart.backoff.max);
  instance.probing = true;
  instance.over_limit_of = over_limit_of;
  set_status(slot, half_open, due);
  announce(Announce::Type::backoff, slot, due);
}

void Reconciler::limit_reached(Slot slot, LimitThen then) {
  const bool in_group = plan_.workers[plan_.instances[slot].worker_index].group != no_group;
  switch (then) {
    case LimitThen::half_open: take_along(slot, casualty(slot)); return probe_later(slot, no_group);
    case LimitThen::stop: return fail(slot);
    case LimitThen::escalate:
      if (in_group) return group_over_limit(slot, casualty(slot));
      [[fallthrough]];
    case LimitThen::exit: fail(slot); end_system(1);
  }
}

// The first who ends the system says with what.
void Reconciler::end_system(int exit_code) {
  if (state_.stopping) return;
  state_.exit_code = exit_code;
  begin_shutdown(false);
}

void Reconciler::forget_failures_if_settled(Slot slot) {
  InstanceState& instance = at(slot);
  if (!instance.ever_ready) return;
  const TimeNs settled_after = nanoseconds(plan_.instances[slot].restart.backoff.reset_after);
  if (now_ - instance.ready_at < settled_after) return;
  instance.attempt = 0;
  if (instance.probing) trust_again(slot);
}

void Reconciler::trust_again(Slot slot) {
  InstanceState& instance = at(slot);
  instance.failures.clear();
  if (instance.over_limit_of != no_group) forget_failures_of_group(instance.over_limit_of);
  instance.probing = false;
  instance.over_limit_of = no_group;
}

// Nothing the first time, unless memory was short, which does not pass at once; then initial * factor^k,
// spread by the jitter and never over max: what the spread would put above is folded back below, or all
// capped delays would end at the same instant.
TimeNs Reconciler::next_delay(Slot slot) {
  const Backoff& backoff_plan = plan_.instances[slot].restart.backoff;
  const bool short_of_memory = at(slot).last_exit.kind == ExitKind::oom;
  const std::uint32_t attempt = std::max(at(slot).attempt, short_of_memory ? 1U : 0U);
  if (attempt == 0 || backoff_plan.initial.count() == 0) return 0;
  const double most = static_cast<double>(backoff_plan.max.count());
  const double grown = static_cast<double>(backoff_plan.initial.count()) *
                       std::pow(backoff_plan.factor, static_cast<double>(attempt - 1));
  const double base = std::min(grown, most);
  double delay = base * (1 + backoff_plan.jitter * (2 * random_unit() - 1));
  if (delay > most) delay = 2 * most - delay;
  return static_cast<TimeNs>(std::max(delay, 0.0));
}

double Reconciler::random_unit() noexcept {
  std::uint64_t x = state_.random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  state_.random = x;
  return static_cast<double>(x >> 11) * 0x1.0p-53;
}

}  // namespace bulkhead::supervisor
