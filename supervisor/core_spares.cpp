// Spares: processes of a worker that have begun and wait to be told which instance they are. When they are
// started and stopped, and how one becomes an instance.
#include <algorithm>

#include "supervisor/core_reconciler.hpp"

namespace bulkhead::supervisor {

using enum InstanceStatus;

// Wanted while any instance of its worker is; the end of the system waits for no one to stop it.
void Reconciler::reconcile_spare(Slot slot) {
  InstanceState& spare = at(slot);
  const std::uint32_t worker = plan_.instances[slot].worker_index;
  const bool wanted = !state_.stopping && state_.index.count(worker, Fact::wants_spares) > 0;
  if (spare.pid != 0) return reconcile_living_spare(slot, wanted);
  if (spare.status == starting) return;  // news will come
  if (!wanted) {
    if (spare.status != disabled) set_status(slot, disabled);
    return;
  }
  if (spare.status == disabled) set_status(slot, waiting);
  if (spare.status != waiting || state_.index.count(worker, Fact::getting_up) > 0) return;
  if (state_.index.count(Fact::takes_token) >= std::max(plan_.max_parallel_starts, 1U)) {
    return state_.index.queue_for_token(slot);
  }
  spawn(slot);
}

// Who is promised is an instance's already: what is wanted of that one is asked of it there.
void Reconciler::reconcile_living_spare(Slot slot, bool wanted) {
  const InstanceState& spare = at(slot);
  if (spare.promised_to != no_slot) return;
  const bool undisturbed = spare.status == starting || spare.status == ready;
  if (state_.kill_now && (undisturbed || spare.status == stopping)) {
    kill(slot, KilledFor::shutdown);
  } else if (undisturbed && (!wanted || spare.restart_requested)) {
    begin_stop(slot);
  }
}

// It dies for nobody but itself: no group, no instance and no end of the system hangs on it.
void Reconciler::spare_gone(Slot slot, ExitCause cause) {
  InstanceState& spare = at(slot);
  const Restart& restart = plan_.instances[slot].restart;
  const bool asked = spare.stop_was_asked || spare.restart_requested;
  spare.last_exit = cause;
  if (spare.pid != 0) actions_.push_back(SweepTree{slot});
  announce(Announce::Type::exited, slot);
  spare.pid = 0;
  spare.stop_was_asked = spare.restart_requested = false;
  spare.promised_to = no_slot;
  if (asked || state_.stopping) return set_status(slot, waiting);
  spare.comes_again = true;
  forget_failures_if_settled(slot);
  if (restart.limit && (spare.probing || !spare.failures.admits(*restart.limit, now_))) {
    return probe_later(slot, no_group);
  }
  spare.failures.record(now_);
  come_back(slot);
}

// Whether there is one. It goes on counting as the spare's process until it is told as Promoted.
bool Reconciler::promote_spare(Slot slot) {
  InstanceState& instance = at(slot);
  instance.was_spare = 0;
  const WorkerPlan& worker = plan_.workers[plan_.instances[slot].worker_index];
  if (is_spare(slot)) return false;
  for (Slot spare = worker.first_spare; spare < worker.first_spare + worker.spares; ++spare) {
    InstanceState& candidate = at(spare);
    const bool is_free = candidate.status == ready && candidate.promised_to == no_slot;
    if (!is_free || candidate.restart_requested) continue;
    candidate.promised_to = slot;
    instance.was_spare = candidate.generation;
    instance.was_spare_index = plan_.instances[spare].index;
    state_.index.touch(spare);
    actions_.push_back(Promote{slot, instance.generation, spare, candidate.generation});
    return true;
  }
  return false;
}

// The instance was started otherwise.
void Reconciler::release_promise(Slot slot) {
  at(slot).was_spare = 0;
  const WorkerPlan& worker = plan_.workers[plan_.instances[slot].worker_index];
  for (Slot spare = worker.first_spare; spare < worker.first_spare + worker.spares; ++spare) {
    if (at(spare).promised_to != slot) continue;
    at(spare).promised_to = no_slot;
    state_.index.touch(spare);
  }
}

void Reconciler::on(const Promoted& event) {
  if (!is_news_of_start(event.slot, event.generation)) return;
  InstanceState& spare = at(event.spare);
  spare.pid = 0;
  spare.promised_to = no_slot;
  set_status(event.spare, waiting);
  adopt(event.slot, event.generation, event.pid);
}

// By the operator's word the instances start again, and perhaps another program than they ran: what a spare has
// executed is the old one.
void Reconciler::renew_spares(Slot slot) {
  if (is_spare(slot)) return;
  const WorkerPlan& worker = plan_.workers[plan_.instances[slot].worker_index];
  for (Slot spare = worker.first_spare; spare < worker.first_spare + worker.spares; ++spare) {
    renew_spare(spare);
  }
}

void Reconciler::renew_spare(Slot slot) {
  InstanceState& spare = at(slot);
  if (spare.pid == 0 || spare.promised_to != no_slot || spare.stop_was_asked) return;
  spare.restart_requested = true;
  state_.index.touch(slot);
}

// Nothing else lives or will, and they would wait for ever.
bool Reconciler::only_spares_are_left() const noexcept {
  const CoreIndex& index = state_.index;
  return !state_.stopping && index.count(Fact::active) == 0 && index.count(Fact::disabled) == 0 &&
         index.count(Fact::alive) > index.count(Fact::given_up);
}

void Reconciler::touch_spares(std::uint32_t worker) {
  const WorkerPlan& touched = plan_.workers[worker];
  for (Slot slot = touched.first_spare; slot < touched.first_spare + touched.spares; ++slot) {
    state_.index.touch(slot);
  }
}

// Instances come first, so one that it has become has taken its process by now.
void Reconciler::resume_spare(Slot slot, const Living& living) {
  InstanceState& spare = at(slot);
  spare.promised_to = no_slot;
  const WorkerPlan& worker = plan_.workers[plan_.instances[slot].worker_index];
  bool is_instance = false;
  for (Slot other = worker.first; other < worker.first + worker.count; ++other) {
    is_instance = is_instance || (spare.pid != 0 && at(other).pid == spare.pid &&
                                  has_become(at(other), plan_.instances[slot], spare.generation));
  }
  if (is_instance && living.pid == 0) {
    spare.pid = 0;
    return set_status(slot, waiting);
  }
  resume(slot, living);
}

}  // namespace bulkhead::supervisor
