// What the brain does about a worker that is silent, or holds a task for too long.
#include "base/clock.hpp"
#include "supervisor/brain.hpp"

namespace bulkhead::supervisor {

// While we look at it, it may come to life again or turn out to have been kept waiting by the machine. One that is
// looked at already is going to be killed for its lease.
void Brain::on_silence(const BeatWatch::Overdue& overdue) {
  const auto [slot, generation] = overdue;
  if (hangs_.is_examining(slot)) return desk_.beats().give_time(slot, base::monotonic_ns());
  hangs_.examine(slot, processes_.pid(slot), [this, slot, generation](const HangReport& report) {
    if (report.verdict.hang == Hang::starved || !desk_.beats().is_silent(slot, generation)) {
      desk_.beats().give_time(slot, base::monotonic_ns());
      return arm_timer();
    }
    incidents_.examined(slot, generation, report);
    supervision_.apply(WatchdogExpired{slot, generation});
  });
}

// A plain program, which sends its signs of life.
void Brain::on_unheard(Slot slot, Generation generation) {
  if (!hangs_.is_examining(slot))
    kill_examined(slot, generation, WatchdogExpired{slot, generation});
}

// What it holds it has held for too long, whatever keeps it.
void Brain::on_long_lease(const LeaseWatch::Overdue& overdue) {
  kill_examined(overdue.slot, overdue.generation, LeaseExpired{overdue.slot, overdue.generation});
}

void Brain::kill_examined(Slot slot, Generation generation, const Event& event) {
  hangs_.examine(slot, processes_.pid(slot),
                 [this, slot, generation, event](const HangReport& report) {
                   incidents_.examined(slot, generation, report);
                   supervision_.apply(event);
                 });
}

}  // namespace bulkhead::supervisor
