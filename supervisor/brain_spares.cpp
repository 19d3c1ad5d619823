// The part of Brain that has to do with spares: made into instances, told from them after a death, and let go when
// a reload wants none (docs/design/warm-spares.md).
#include <signal.h>
#include <sys/wait.h>

#include "base/child_process.hpp"
#include "base/clock.hpp"
#include "supervisor/brain.hpp"
#include "supervisor/operator_line.hpp"
#include "supervisor/running_config.hpp"

namespace bulkhead::supervisor {

// Stored first, decided by one store of the instance's claim, told last. A spare that has died since it was chosen,
// runs with another config or cannot be introduced, is no reason to have no instance: it is started as without one.
void Brain::promote(const Promote& wanted) {
  state_.beat();
  const bool is_there = processes_.alive(wanted.spare) &&
                        processes_.generation(wanted.spare) == wanted.spare_generation;
  const auto outdated = outdated_spares_.find(wanted.spare);
  const bool is_outdated =
      outdated != outdated_spares_.end() && outdated->second == wanted.spare_generation;
  const auto prepared = is_there && !is_outdated
                            ? desk_.prepare_promotion(wanted.spare, wanted.slot)
                            : Result<void>(make_error(Errc::peer_died, "the spare is gone"));
  if (!prepared) {
    tell_operator(plan_.instances[wanted.slot].name +
                  ": started without a spare: " + prepared.error().to_string());
    return spawn(wanted.slot, wanted.generation);
  }
  const Generation generation = processes_.promote(wanted.spare, wanted.slot, wanted.generation);
  desk_.promote(wanted.spare, wanted.slot);
  supervision_.apply(Promoted{wanted.slot, generation, processes_.pid(wanted.slot), wanted.spare,
                              wanted.spare_generation});
  const Ready& ready = config_.workers[plan_.instances[wanted.slot].worker_index].ready;
  if (ready.type == ReadyType::port) probes_.begin(wanted.slot, generation, ready.port);
}

// A brain that died between the claim of the instance and the end of the spare's leaves both.
bool Brain::is_instance(Slot spare, const Claim& claim, const std::vector<Living>& living) const {
  if (spare >= plan_.instances.size() || !plan_.instances[spare].is_spare) return false;
  const WorkerPlan& worker = plan_.workers[plan_.instances[spare].worker_index];
  for (Slot slot = worker.first; slot < worker.first + worker.count; ++slot) {
    const auto saved = state_.load(slot);
    if (saved && living[slot].pid == claim.pid &&
        has_become(*saved, plan_.instances[spare], claim.generation)) {
      return true;
    }
  }
  return false;
}

// The keeper may have taken the exit for the spare's: in the moment of a promotion both claims name the process.
std::optional<Slot> Brain::instance_that_was(Slot spare, const ExitEntry& entry) const {
  const WorkerPlan& worker = plan_.workers[plan_.instances[spare].worker_index];
  for (Slot slot = worker.first; slot < worker.first + worker.count; ++slot) {
    if (processes_.pid(slot) == entry.pid &&
        has_become(supervision_.instance(slot), plan_.instances[spare], entry.generation)) {
      return slot;
    }
  }
  return std::nullopt;
}

// Of an instance whose latest incarnation another brain may have promoted.
std::optional<Brain::FormerSelf> Brain::former_self(Slot slot) const {
  if (slot >= plan_.first_spare()) return std::nullopt;
  const auto saved = state_.load(slot);
  const WorkerPlan& worker = plan_.workers[plan_.instances[slot].worker_index];
  if (!saved || saved->was_spare == 0 || saved->was_spare_index >= worker.spares)
    return std::nullopt;
  return FormerSelf{worker.first_spare + saved->was_spare_index, saved->was_spare};
}

void Brain::on_spare_exit(Slot spare, const ExitEntry& entry) {
  state_.end(spare, entry.generation);
  if (const auto slot = instance_that_was(spare, entry)) {
    ExitEntry of_instance = entry;
    of_instance.slot = state_.seat(*slot);
    of_instance.generation = processes_.generation(*slot);
    return on_exit(of_instance);
  }
  if (processes_.generation(spare) == entry.generation) processes_.ended(spare);
  const InstanceState& known = supervision_.instance(spare);
  if (known.generation != entry.generation || known.pid == 0) return;
  desk_.died(spare);
  if (const auto failure = state_.exec_failure(spare, entry.generation)) {
    return supervision_.apply(ExecFailed{spare, entry.generation, failure->error_number});
  }
  const ExitKind kind = entry.code == CLD_EXITED ? ExitKind::exit : ExitKind::signal;
  supervision_.apply(Exited{spare, entry.generation, kind, entry.status});
}

// Only what somebody may ask about later: that it waits, that it died, and when it is tried again.
void Brain::announce_spare(const Announce& what) {
  using Type = Announce::Type;
  const auto type = what.type == Type::ready    ? EventType::spare_ready
                    : what.type == Type::exited ? EventType::spare_exited
                                                : EventType::spare_backoff;
  const bool is_told =
      what.type == Type::ready || what.type == Type::exited || what.type == Type::backoff;
  if (is_told) api_.happened(journal_.worker(type, what, "", base::monotonic_ns()));
}

// Instances leave before their places go, so a claim at a place that nobody has is a spare's. Whether that number
// is still its own the exit ring says: it is read before anything is sent.
void Brain::find_former_spares() {
  for (const auto& [name, seat] : configs_.running().seats) {
    const Claim claim = state_.claim_at(seat);
    if (state_.slot_at(seat) || claim.pid <= 0) continue;
    auto pidfd = base::open_pidfd(claim.pid);
    if (pidfd) former_spares_.push_back({seat, claim.generation, std::move(*pidfd)});
  }
}

void Brain::end_former_spares() {
  for (const FormerSpare& spare : former_spares_) {
    const Claim claim = state_.claim_at(spare.seat);
    if (claim.generation != spare.generation || claim.pid <= 0) continue;
    (void)base::send_signal(spare.pidfd.get(), SIGKILL);  // gone: its exit is on its way
  }
  former_spares_.clear();
}

// Its instances are to be replaced, because they run with another config.
bool Brain::is_outdated(const WorkerPlan& worker) const {
  const RunningConfig& running = configs_.running();
  for (Slot slot = worker.first; slot < worker.first + worker.count; ++slot) {
    const std::string& name = plan_.instances[slot].name;
    const auto saved = state_.load(slot);
    const Generation now = saved ? saved->generation : 0;
    const auto rolling = running.rolling.find(name), together = running.together.find(name);
    if (rolling != running.rolling.end() && now <= rolling->second) return true;
    if (together != running.together.end() && now <= together->second) return true;
  }
  return false;
}

// None of them steps in any more.
void Brain::find_outdated_spares(const std::vector<Living>& living) {
  for (const WorkerPlan& worker : plan_.workers) {
    if (worker.spares == 0 || !is_outdated(worker)) continue;
    for (Slot slot = worker.first_spare; slot < worker.first_spare + worker.spares; ++slot) {
      if (living[slot].pid != 0) outdated_spares_[slot] = living[slot].generation;
    }
  }
}

void Brain::renew_outdated_spares() {
  for (const auto& [slot, generation] : outdated_spares_) {
    supervision_.apply(WantRestart{slot});
  }
}

}  // namespace bulkhead::supervisor
