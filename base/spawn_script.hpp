// A process start as plain memory: everything that the child of a vfork may touch, prepared
// beforehand. Used by spawn() and by the keeper, which may not allocate. Knows nothing of policy.
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace bulkhead::base {

// How far a start had come when it failed. Stored in shared memory: never renumber.
enum class SpawnStage : std::uint8_t {
  none = 0,
  clone = 1,        // the process could not be made
  claim = 2,        // the claim hook lost: another start owns the slot
  session = 3,      // setsid, setpgid
  descriptors = 4,  // dup2, close-on-exec
  limits = 5,       // rlimits, nice, affinity, and what stands in for a cgroup
  credentials = 6,  // groups, gid, uid, no_new_privs
  working_dir = 7,
  parent_gone = 8,  // the expected parent died before the death signal was armed
  exec = 9,
};
const char* to_string(SpawnStage) noexcept;

struct ExecFailure {
  SpawnStage stage = SpawnStage::none;
  int error_number = 0;
};

// One word in shared memory for a failure that outlives the spawner: {generation:32, stage:8,
// errno:24}.
constexpr std::uint64_t pack_failure(std::uint32_t generation, ExecFailure failure) noexcept {
  return std::uint64_t{generation} << 32 | std::uint64_t(failure.stage) << 24 |
         (std::uint64_t(failure.error_number) & 0xff'ffff);
}
constexpr std::uint32_t failure_generation(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word >> 32);
}
constexpr ExecFailure unpack_failure(std::uint64_t word) noexcept {
  return {static_cast<SpawnStage>(word >> 24 & 0xff), static_cast<int>(word & 0xff'ffff)};
}

// The child gets `source` under the number `target`; equal numbers keep it where it is.
struct FdMapping {
  int source;
  int target;
};

// A signal as one bit of the kernel's set of 64.
constexpr std::uint64_t signal_bit(int signal) noexcept { return std::uint64_t{1} << (signal - 1); }

struct ResourceLimit {
  int resource;  // RLIMIT_…
  rlim_t soft, hard;
};

// A cgroup that the child enters before it becomes its program. Where that is refused the limit holds instead; both
// are tried by the child itself, so that the program never runs without either.
struct CgroupEntry {
  int procs;  // the cgroup's cgroup.procs, open for writing
  ResourceLimit instead;
  int refusal = 0;  // set by the start: errno; 0 when it has entered
};

// Runs first in the child, which shares its parent's memory: only async-signal-safe calls. `pid` is what its
// parent sees; in a pid namespace of its own it sees another. False: the child leaves at once.
using ClaimHook = bool (*)(void*, pid_t pid) noexcept;

// Of the child: ours, a new one whose first process it is, or the one that we have entered for our children.
enum class PidNamespace : std::uint8_t { ours, fresh, entered };

enum class ProcessGroup : std::uint8_t { inherit, new_group, new_session };

// All pointers are borrowed until run_script() returns.
struct SpawnScript {
  const char* executable = nullptr;  // a path; or
  int executable_fd = -1;            // an open file
  char* const* argv = nullptr;
  char* const* env = nullptr;
  const char* working_dir = nullptr;  // null keeps ours
  std::span<const FdMapping> fds;     // 0, 1 and 2 included; all others are closed by exec
  std::span<int> scratch;             // as long as fds
  ProcessGroup group = ProcessGroup::inherit;
  int death_signal = 0;
  pid_t expected_parent = 0;
  std::span<CgroupEntry> cgroups;
  std::span<const ResourceLimit> limits;
  const mode_t* umask = nullptr;
  const int* nice = nullptr;
  bool urgent = false;
  const cpu_set_t* affinity = nullptr;
  bool change_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::span<const gid_t> groups;
  bool no_new_privs = false;
  std::uint64_t blocked_signals = 0;  // see signal_bit
  bool sibling = false;               // CLONE_PARENT: the child is our parent's child, not ours
  PidNamespace pid_namespace = PidNamespace::ours;
  ClaimHook claim = nullptr;
  void* claim_argument = nullptr;
  std::atomic<std::uint64_t>* failure_word = nullptr;  // see pack_failure
  std::uint32_t failure_generation = 0;
  std::span<std::byte> stack;  // 16-aligned, at least spawn_stack_bytes
};
inline constexpr std::size_t spawn_stack_bytes = std::size_t{64} << 10;

struct ScriptResult {
  ExecFailure failure;  // stage none: the program runs, or was killed before it could
  pid_t pid = -1;       // also after a failure later than clone: somebody has to reap it
  int pidfd = -1;       // owned by the caller; likewise
};

// Returns when the child has exec'd or left. Allocates nothing; blocks every signal meanwhile.
ScriptResult run_script(const SpawnScript&) noexcept;

}  // namespace bulkhead::base
