// The supervisor's decisions, and nothing else: step(state, event, now) changes the state and says
// what is to be done. No clock, no descriptor, no process in here: every story about supervision is a
// table test in virtual time. The brain's shell carries the actions out, in their order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "supervisor/core_index.hpp"
#include "supervisor/core_plan.hpp"
#include "supervisor/core_types.hpp"
#include "supervisor/restart_window.hpp"

namespace bulkhead::supervisor {

enum class InstanceStatus : std::uint8_t {
  disabled,
  waiting,
  backoff,
  starting,
  ready,
  draining,
  stopping,
  killing,
  unkillable,
  done,
  failed,
  half_open,
  quarantined
};
std::string_view to_string(InstanceStatus) noexcept;

enum class Desired : std::uint8_t { down, up };

enum class ExitKind : std::uint8_t { none, exit, signal, oom, watchdog, exec_failed, lease };
std::string_view to_string(ExitKind) noexcept;

struct ExitCause {
  ExitKind kind = ExitKind::none;
  std::int32_t code = 0;  // exit code, signal number, or errno for exec_failed
  TimeNs at = 0;
};

// Why the supervisor itself killed the latest incarnation; kept until the next one starts.
enum class KilledFor : std::uint8_t { nothing, not_ready, watchdog, stop_timeout, shutdown, lease };

// All that is known of an instance. Trivially copyable: the brain keeps it in shared memory that
// outlives it, and its successor carries on from the copy (see resume).
struct InstanceState {
  InstanceStatus status = InstanceStatus::waiting;
  Desired desired = Desired::up;
  bool restart_requested = false;  // stop, then start again, whatever the policy says
  bool stop_was_asked = false;     // the death that follows is no failure
  bool ever_ready = false;         // this incarnation reached ready
  bool recovering = false;         // the start after a death in ready: not throttled
  bool comes_again = false;        // its next start counts as a restart
  bool probing = false;            // over the restart limit: half_open, or a probe of it
  KilledFor killed_for = KilledFor::nothing;
  Generation generation = 0;  // of the latest start
  std::int32_t pid = 0;       // 0 when no process lives
  std::uint32_t restarts = 0;
  std::uint32_t attempt = 0;  // consecutive failures: exponent of the back-off
  TimeNs started_at = 0, ready_at = 0;
  TimeNs due = time_never;  // of the one timer that this status has
  ExitCause last_exit;
  RestartWindow failures;  // for the restart limit
};
static_assert(std::is_trivially_copyable_v<InstanceState>);

struct State {
  std::vector<InstanceState> instances;
  bool stopping = false;     // the whole system is on its way down
  bool kill_now = false;     // without patience
  bool finished = false;     // Finished has been said
  int exit_code = 0;         // 1 once a restart limit has brought the system down
  std::uint64_t random = 1;  // of the jitter: xorshift64, seeded by the shell
  CoreIndex index;           // derived from the rest; made by initial_state and resume
};
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
struct BecameReady {  // notify, port answered
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
using Event = std::variant<Tick, Started, ExecFailed, BecameReady, Exited, WatchdogExpired,
                           LeaseExpired, WantUp, WantDown, WantRestart, Shutdown>;

// --- what is to be done ---
struct Spawn {
  Slot slot;
  Generation generation;
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
    quarantined
  } type;
  Slot slot;
  Generation generation;
  std::int32_t pid;
  ExitCause cause;  // exited, failed
  TimeNs until;     // backoff
};
struct Finished {  // nothing is left that could run again
  int exit_code;
};
using Action = std::variant<Spawn, SendStop, KillTree, SweepTree, Announce, Finished>;

// The first step of a new state starts what may start, whatever the event: send a Tick.
std::vector<Action> step(const Plan&, State&, const Event&, TimeNs now);

// The slots that the last step (or resume) may have changed, so that nobody has to compare them all.
const std::vector<Slot>& changed_slots(const State&) noexcept;

// When the next Tick is due; time_never when no timer runs.
TimeNs next_due(const State&) noexcept;

// One paragraph-worth of reason, for `status` and error messages: "waiting for store.0 (ready)".
std::string reason(const Plan&, const State&, Slot, TimeNs now);

// For a successor of a killed brain. `state` holds the copied instances and flags; its index is made
// anew. `living` says for each slot which process the kernel knows (pid 0: none): a process that was
// spawned but not yet recorded is adopted, an intent without a process is started afresh, stop and
// kill are sent again because nobody knows whether they went out. Deaths that have not been told are
// reported after this as Exited, as ever.
struct Living {
  Generation generation = 0;
  std::int32_t pid = 0;
};
std::vector<Action> resume(const Plan&, State&, const std::vector<Living>& living, TimeNs now);

}  // namespace bulkhead::supervisor
