// The supervisor's decisions, and nothing else: step(state, event, now) changes the state and says
// what is to be done. No clock, no descriptor, no process in here: every story about supervision is a
// table test in virtual time. The brain's shell carries the actions out, in their order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "supervisor/core_state.hpp"

namespace bulkhead::supervisor {

State initial_state(const Plan&, std::uint64_t seed);

// --- what happens ---
struct Started {  // the process exists; exec done
  Slot slot;
  Generation generation;
  std::int32_t pid;
};
struct ExecFailed {
  Slot slot;
  Generation generation;
  std::int32_t error_number;
};
struct BecameReady {  // notify, port answered, a newline on the descriptor
  Slot slot;
  Generation generation;
};
// Confirmed death. A child whose program could not be executed is told as ExecFailed, whatever its
// wait status: it would fail again. Kind exec_failed here (errno in code) is a start that failed for
// want of something that may come back, memory or descriptors, and counts as any failure.
struct Exited {
  Slot slot;
  Generation generation;
  ExitKind kind;
  std::int32_t code;
};
struct WatchdogExpired {
  Slot slot;
  Generation generation;
};
struct LeaseExpired {  // it held a task of a queue for too long, and is condemned
  Slot slot;
  Generation generation;
};
struct MoreTime {  // it asks for its start or stop to last until then at least
  Slot slot;
  Generation generation;
  TimeNs until;
};
// A spare became the instance: one process, which has left the one slot and lives in the other.
struct Promoted {
  Slot slot;
  Generation generation;
  std::int32_t pid;
  Slot spare;
  Generation spare_generation;
};
struct Tick {};  // time has come to `now`
struct WantUp {
  Slot slot;
};
struct WantDown {
  Slot slot;
};
struct WantRestart {
  Slot slot;
};
struct Shutdown {
  bool immediately;
};
using Event =
    std::variant<Tick, Started, Promoted, ExecFailed, BecameReady, Exited, WatchdogExpired,
                 LeaseExpired, MoreTime, WantUp, WantDown, WantRestart, Shutdown>;

// --- what is to be done ---
struct Spawn {
  Slot slot;
  Generation generation;
};
// Instead of Spawn: the spare becomes the instance. Where it cannot any more, the instance is spawned after all.
struct Promote {
  Slot slot;
  Generation generation;
  Slot spare;
  Generation spare_generation;
};
struct SendStop {  // stop signal and SIGCONT to its process group; control message `stop`
  Slot slot;
};
struct KillTree {  // SIGKILL to all that descends from it
  Slot slot;
};
struct SweepTree {  // the process is dead: kill what it left behind
  Slot slot;
};
struct Announce {  // for the event stream
  enum class Type : std::uint8_t {
    starting,
    ready,
    exited,
    backoff,
    stopping,
    stopped,
    failed,
    quarantined,
    promoted  // follows `starting`: by a spare
  } type;
  Slot slot;
  Generation generation;
  std::int32_t pid;
  ExitCause cause;  // exited, failed
  TimeNs until;     // backoff
};
std::string_view to_string(Announce::Type) noexcept;
struct Finished {  // nothing is left that could run again
  int exit_code;
};
using Action = std::variant<Spawn, Promote, SendStop, KillTree, SweepTree, Announce, Finished>;

// The first step of a new state starts what may start, whatever the event: send a Tick.
std::vector<Action> step(const Plan&, State&, const Event&, TimeNs now);

// The slots that the last step (or resume) may have changed, so that nobody has to compare them all.
// Whoever saves them after a death saves the dead one last: killed in between, its successor is told of
// that death again, and of whom it takes along.
const std::vector<Slot>& changed_slots(const State&) noexcept;
const std::vector<GroupIndex>& changed_groups(const State&) noexcept;

// When the next Tick is due; time_never when no timer runs.
TimeNs next_due(const State&) noexcept;

std::string in_words(TimeNs duration);  // "250 ms", "1.5 s", "3 min"

// One paragraph-worth of reason, for `status` and error messages: "waiting for store.0 (ready)".
std::string reason(const Plan&, const State&, Slot, TimeNs now);

// For a successor of a killed brain. `state` holds the copied instances and flags; its index is made
// anew. `living` says for each slot which process the kernel knows (pid 0: none): a process that was
// spawned but not yet recorded is adopted, an intent without a process is started afresh, stop and
// kill are sent again because nobody knows whether they went out. Deaths that have not been told are
// reported after this as Exited, as ever. A spare that was promoted lives in the instance's slot alone.
struct Living {
  Generation generation = 0;
  std::int32_t pid = 0;
};
std::vector<Action> resume(const Plan&, State&, const std::vector<Living>& living, TimeNs now);

}  // namespace bulkhead::supervisor
