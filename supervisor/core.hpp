// The supervisor's decisions, and nothing else: step(state, event, now) changes the state and says
// what is to be done. No clock, no descriptor, no process in here: every story about supervision is a
// table test in virtual time. The brain's shell carries the actions out.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "supervisor/config.hpp"

namespace bulkhead::supervisor {

using Slot = std::uint32_t;        // index of an instance: position in Plan::instances
using Generation = std::uint32_t;  // incarnation of an instance, from 1
using TimeNs = std::uint64_t;      // CLOCK_MONOTONIC
inline constexpr TimeNs time_never = ~TimeNs{0};

// What of the config the core needs, per instance; constant while a config is in force.
struct InstancePlan {
  std::string name;    // "echo.0"
  std::string worker;  // "echo"
  std::uint32_t index = 0;
  WorkerKind kind = WorkerKind::service;
  ReadyType ready = ReadyType::exec;
  Duration ready_timeout{};
  Restart restart;
  Stop stop;
  std::vector<std::pair<Slot, DependsOn>> needs;  // every instance of each worker depended on
  std::vector<Slot> needed_by;
};

struct Plan {
  std::vector<InstancePlan> instances;
  std::uint32_t max_parallel_starts = 4;
};
Plan make_plan(const SystemConfig&);

enum class InstanceStatus : std::uint8_t {
  disabled, waiting, backoff, starting, ready, draining, stopping, killing,
  unkillable, done, failed, half_open, quarantined
};
std::string_view to_string(InstanceStatus) noexcept;

enum class Desired : std::uint8_t { down, up };

enum class ExitKind : std::uint8_t { none, exit, signal, oom, watchdog, exec_failed };
std::string_view to_string(ExitKind) noexcept;

struct ExitCause {
  ExitKind kind = ExitKind::none;
  std::int32_t code = 0;  // exit code, signal number, or errno for exec_failed
  TimeNs at = 0;
};

// All that is known of an instance. Trivially copyable: the brain keeps it in shared memory that
// outlives it, and its successor carries on from the copy.
struct InstanceState {
  InstanceStatus status = InstanceStatus::waiting;
  Desired desired = Desired::up;
  bool restart_requested = false;  // stop, then start again, whatever the policy says
  bool stop_was_asked = false;     // the death that follows is no failure
  bool ever_ready = false;         // this incarnation reached ready
  Generation generation = 0;       // of the latest start
  std::int32_t pid = 0;            // 0 when no process lives
  std::uint32_t restarts = 0;
  std::uint32_t attempt = 0;       // consecutive failures: exponent of the back-off
  TimeNs started_at = 0, ready_at = 0;
  TimeNs due = time_never;         // of the one timer that this status has
  ExitCause last_exit;
  std::uint32_t history_size = 0, history_next = 0;
  std::array<TimeNs, restart_history_max> history{};  // failures, a ring, for the restart limit
};

struct State {
  std::vector<InstanceState> instances;
  bool stopping = false;     // the whole system is on its way down
  bool kill_now = false;     // without patience
  std::uint64_t random = 1;  // of the jitter: xorshift64, seeded by the shell
};
State initial_state(const Plan&, std::uint64_t seed);

// --- what happens ---
struct Started { Slot slot; Generation generation; std::int32_t pid; };   // the process exists; exec done
struct ExecFailed { Slot slot; Generation generation; std::int32_t error_number; };
struct BecameReady { Slot slot; Generation generation; };  // notify, port answered
struct Exited { Slot slot; Generation generation; ExitKind kind; std::int32_t code; };
struct WatchdogExpired { Slot slot; Generation generation; };
struct Tick {};                       // time has come to `now`
struct WantUp { Slot slot; };
struct WantDown { Slot slot; };
struct WantRestart { Slot slot; };
struct Shutdown { bool immediately; };
using Event = std::variant<Tick, Started, ExecFailed, BecameReady, Exited, WatchdogExpired, WantUp,
                           WantDown, WantRestart, Shutdown>;

// --- what is to be done ---
struct Spawn { Slot slot; Generation generation; };
struct SendStop { Slot slot; };  // stop signal and SIGCONT to its process group; control message `stop`
struct KillTree { Slot slot; };  // SIGKILL to all that descends from it
struct SweepTree { Slot slot; };  // the process is dead: kill what it left behind
struct Announce {                // for the event stream
  enum class Type : std::uint8_t {
    starting, ready, exited, backoff, stopping, stopped, failed, quarantined
  } type;
  Slot slot;
  Generation generation;
  std::int32_t pid;
  ExitCause cause;   // exited, failed
  TimeNs until;      // backoff
};
struct Finished { int exit_code; };  // nothing is left that could run again
using Action = std::variant<Spawn, SendStop, KillTree, SweepTree, Announce, Finished>;

std::vector<Action> step(const Plan&, State&, const Event&, TimeNs now);

// When the next Tick is due; time_never when no timer runs.
TimeNs next_due(const State&) noexcept;

// One paragraph-worth of reason, for `status` and error messages: "waiting for store.0 (ready)".
std::string reason(const Plan&, const State&, Slot, TimeNs now);

}  // namespace bulkhead::supervisor
