// What an event changes: facts edit the actual state, wishes the desired one. Whatever speaks of
// another incarnation than the present one is ignored.
#include "supervisor/core_reconciler.hpp"

namespace bulkhead::supervisor {

using enum InstanceStatus;

void Reconciler::on(const Tick&) {
  while (state_.index.due().next_due() <= now_) timer_fired(state_.index.due().next_slot());
}

// Each branch takes the timer away or leads to one that does, so the loop above ends.
void Reconciler::timer_fired(Slot slot) {
  InstanceState& instance = at(slot);
  switch (instance.status) {
    case waiting:  // of a scheduled one, for its next run
    case backoff:
    case half_open: set_status(slot, waiting); break;
    case starting: kill(slot, KilledFor::not_ready); break;
    case ready:
      forget_failures_if_settled(slot);
      set_status(slot, ready);
      break;
    case stopping: kill(slot, KilledFor::stop_timeout); break;
    case killing: set_status(slot, unkillable, now_ + unkillable_patience); break;
    default: set_status(slot, instance.status);
  }
}

// The shell may have had to skip generations to win the slot from a dead brain's child, so news of a
// start may be about a later one than was asked for.
bool Reconciler::is_news_of_start(Slot slot, Generation generation) const noexcept {
  const InstanceState& instance = at(slot);
  return instance.status == starting && instance.pid == 0 && generation >= instance.generation;
}

// An end may be told before the start was.
bool Reconciler::is_news_of_end(Slot slot, Generation generation) const noexcept {
  const InstanceState& instance = at(slot);
  if (instance.pid != 0) return instance.generation == generation;
  return is_news_of_start(slot, generation);
}

void Reconciler::on(const Started& event) {
  if (!is_news_of_start(event.slot, event.generation)) return;
  release_promise(event.slot);
  adopt(event.slot, event.generation, event.pid);
}

void Reconciler::adopt(Slot slot, Generation generation, std::int32_t pid) {
  InstanceState& instance = at(slot);
  const InstancePlan& plan = plan_.instances[slot];
  instance.generation = generation;
  instance.pid = pid;
  instance.started_at = now_;
  announce(Announce::Type::starting, slot);
  if (instance.was_spare != 0) announce(Announce::Type::promoted, slot);
  if (plan.ready == ReadyType::exec) {
    became_ready(slot);
  } else {
    set_status(slot, starting, now_ + nanoseconds(plan.ready_timeout));
  }
}

void Reconciler::on(const ExecFailed& event) {
  if (!is_news_of_end(event.slot, event.generation)) return;
  at(event.slot).generation = event.generation;
  if (at(event.slot).pid == 0) release_promise(event.slot);
  exec_failed(event.slot, event.error_number);
}

void Reconciler::on(const BecameReady& event) {
  const InstanceState& instance = at(event.slot);
  if (instance.status != starting || instance.pid == 0) return;
  if (instance.generation == event.generation) became_ready(event.slot);
}

void Reconciler::became_ready(Slot slot) {
  InstanceState& instance = at(slot);
  instance.ever_ready = true;
  instance.recovering = false;
  instance.ready_at = now_;
  const bool has_failures = instance.attempt > 0 || instance.probing;
  set_status(slot, ready,
             has_failures ? now_ + nanoseconds(plan_.instances[slot].restart.backoff.reset_after)
                          : time_never);
  announce(Announce::Type::ready, slot);
}

void Reconciler::on(const Exited& event) {
  if (!is_news_of_end(event.slot, event.generation)) return;
  at(event.slot).generation = event.generation;
  if (at(event.slot).pid == 0) release_promise(event.slot);
  process_gone(event.slot, ExitCause{event.kind, event.code, now_});
}

void Reconciler::on(const WatchdogExpired& event) {
  const InstanceState& instance = at(event.slot);
  if (instance.pid == 0 || instance.generation != event.generation) return;
  if (instance.status == starting || instance.status == ready)
    kill(event.slot, KilledFor::watchdog);
}

// Also of one that is asked to stop: what it holds it will never give back.
void Reconciler::on(const LeaseExpired& event) {
  const InstanceState& instance = at(event.slot);
  if (instance.pid == 0 || instance.generation != event.generation) return;
  const bool dies_already = instance.status == killing || instance.status == unkillable;
  if (!dies_already) kill(event.slot, KilledFor::lease);
}

// Never less than it has: who asks for a second must not lose the thirty of its config.
void Reconciler::on(const MoreTime& event) {
  const InstanceState& instance = at(event.slot);
  if (instance.pid == 0 || instance.generation != event.generation) return;
  if (instance.status != starting && instance.status != stopping) return;
  if (instance.due < event.until) set_status(event.slot, instance.status, event.until);
}

void Reconciler::on(const WantUp& event) {
  if (is_spare(event.slot)) return;  // whether it is wanted its worker's instances say
  InstanceState& instance = at(event.slot);
  if (state_.stopping) return;
  instance.desired = Desired::up;
  state_.index.touch(event.slot);
  recount(event.slot);
  if (instance.pid == 0) renew_spares(event.slot);
  if (instance.with_group == WithGroup::fail && instance.status != failed) {
    instance.with_group = WithGroup::nothing;
    instance.held_by = no_group;
    recount(event.slot);
  }
  switch (instance.status) {
    case disabled:
    case done:
    case failed:
    case backoff:
    case half_open:
    case quarantined:
      forgive(event.slot);
      instance.next_run = 0;  // of a scheduled one: the next run is now
      set_status(event.slot, waiting);
      break;
    case waiting:
      if (instance.due == time_never) break;
      instance.next_run = 0;
      set_status(event.slot, waiting);
      break;
    default: break;
  }
}

void Reconciler::on(const WantDown& event) {
  if (is_spare(event.slot)) return;
  InstanceState& instance = at(event.slot);
  instance.desired = Desired::down;
  state_.index.touch(event.slot);
  recount(event.slot);
  instance.restart_requested = false;
}

void Reconciler::on(const WantRestart& event) {
  InstanceState& instance = at(event.slot);
  if (state_.stopping) return;
  if (is_spare(event.slot)) return renew_spare(event.slot);
  on(WantUp{event.slot});
  // One that is on its way down already comes up again by itself.
  if (instance.pid != 0 && !instance.stop_was_asked) instance.restart_requested = true;
  state_.index.touch(event.slot);
  renew_spares(event.slot);
}

void Reconciler::on(const Shutdown& event) { begin_shutdown(event.immediately); }

// The copy of the dead brain may be one event behind what the kernel knows.
void Reconciler::resume(Slot slot, const Living& living) {
  InstanceState& instance = at(slot);
  const bool unrecorded =
      living.generation > instance.generation || is_news_of_start(slot, living.generation);
  if (living.pid != 0 && unrecorded) {
    instance.pid = 0;
    if (!is_news_of_start(slot, living.generation)) instance.was_spare = 0;
    instance.stop_was_asked = instance.ever_ready = false;
    instance.killed_for = KilledFor::nothing;
    adopt(slot, living.generation, living.pid);
  } else if (instance.status == starting && instance.pid == 0) {
    set_status(slot, waiting);
  } else if (instance.status == starting) {
    // Its word that it is ready may have died with the brain; it will be asked again.
    set_status(slot, starting, now_ + nanoseconds(plan_.instances[slot].ready_timeout));
  } else if (instance.status == stopping) {
    actions_.push_back(SendStop{slot});
  } else if (instance.status == killing) {
    actions_.push_back(KillTree{slot});
  }
  if (instance.pid == 0 && instance.generation > 0) actions_.push_back(SweepTree{slot});
}

}  // namespace bulkhead::supervisor
