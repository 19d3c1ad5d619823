// What the core remembers: of each instance, of each group, and of the system. Used by all parts of the
// core and by whoever shows or keeps its state; decides nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>
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

// What becomes of an instance because of what befell another member of its group. It stops, and then
// starts once all who restart with it are gone and the one that died may start; or it has failed.
enum class WithGroup : std::uint8_t { nothing, restart, fail };

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
  bool probing = false;            // over a restart limit: half_open, or a probe of it
  KilledFor killed_for = KilledFor::nothing;
  WithGroup with_group = WithGroup::nothing;
  // The latest start made a process of this worker's that waited for it into this instance; it was that
  // generation of the spare. 0: the program was executed.
  Generation was_spare = 0;
  std::uint32_t was_spare_index = 0;
  Slot promised_to = no_slot;           // of a spare: the instance that it is about to become
  GroupIndex held_by = no_group;        // the group that with_group speaks of
  GroupIndex over_limit_of = no_group;  // while probing: the group with the limit; none: its own
  Generation generation = 0;            // of the latest start
  std::int32_t pid = 0;                 // 0 when no process lives
  std::uint32_t restarts = 0;
  std::uint32_t attempt = 0;  // consecutive failures: exponent of the back-off
  TimeNs started_at = 0, ready_at = 0;
  TimeNs due = time_never;  // of the one timer that this status has
  TimeNs next_run = 0;      // of a scheduled one: when it is to start next
  ExitCause last_exit;
  RestartWindow failures;  // for the restart limit
};
static_assert(std::is_trivially_copyable_v<InstanceState>);

// Where it is meant to be: running, or over as it should be.
inline bool is_up(const InstanceState& instance) noexcept {
  const bool between_runs =  // of a scheduled one
      instance.status == InstanceStatus::waiting && instance.due != time_never;
  return instance.status == InstanceStatus::ready || instance.status == InstanceStatus::done ||
         between_runs;
}

inline bool gave_up(const InstanceState& instance) noexcept {
  return instance.status == InstanceStatus::failed ||
         instance.status == InstanceStatus::half_open ||
         instance.status == InstanceStatus::quarantined;
}

// That the incarnation was this generation of this spare before.
inline bool has_become(const InstanceState& instance, const InstancePlan& spare,
                       Generation generation) noexcept {
  return generation != 0 && instance.was_spare == generation &&
         instance.was_spare_index == spare.index;
}

// It is tried again and again, and has failed so often that whoever waits for it is told.
constexpr std::uint32_t attempts_awaited = 3;
inline bool keeps_failing(const InstanceState& instance) noexcept {
  return gave_up(instance) || (!is_up(instance) && instance.attempt >= attempts_awaited);
}

struct GroupState {
  RestartWindow failures;  // deaths of members, for the group's limit
};
static_assert(std::is_trivially_copyable_v<GroupState>);

struct State {
  std::vector<InstanceState> instances;
  std::vector<GroupState> groups;
  bool stopping = false;     // the whole system is on its way down
  bool kill_now = false;     // without patience
  bool finished = false;     // Finished has been said
  int exit_code = 0;         // of an end that a worker brought about
  std::uint64_t random = 1;  // of the jitter: xorshift64, seeded by the shell
  CoreIndex index;           // derived from the rest; made by initial_state and resume
};

}  // namespace bulkhead::supervisor
