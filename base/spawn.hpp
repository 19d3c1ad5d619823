// Starts programs: vfork speed, no descriptor leaks, and an exact reason when it fails.
// Used by the brain, the command line and tests. Knows nothing of workers or restarts.
#pragma once

#include <bulkhead/error.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/spawn_script.hpp"

namespace bulkhead::base {

struct Credentials {  // resolved beforehand: looking up a name is not async-signal-safe
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

struct DeathSignal {  // sent to the child when its parent dies
  int signal = 9;
  pid_t parent = 0;  // who that must be; with `sibling`: our own parent
};

struct FailureSink {
  std::atomic<std::uint64_t>* word = nullptr;
  std::uint32_t generation = 0;
};

struct SpawnPlan {
  std::string executable;  // a path, relative to working_dir; PATH is not searched
  int executable_fd = -1;  // instead, where >= 0: survives a replaced file (not for scripts)
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=VALUE", the whole environment
  std::string working_dir;       // "" keeps ours
  // Descriptors 0, 1 and 2 of the child; -1 is /dev/null.
  int input = -1;
  int output = 1;
  int errors = 2;
  std::vector<FdMapping> fds;  // further ones; sources and targets may overlap
  ProcessGroup group = ProcessGroup::inherit;
  std::optional<DeathSignal> death_signal;
  std::vector<CgroupEntry> cgroups;
  std::vector<ResourceLimit> limits;
  std::optional<mode_t> umask;
  std::optional<int> nice;
  // At real-time priority, if that is permitted, until the program calls become_ordinary() (urgency.hpp).
  bool urgent = false;
  std::optional<cpu_set_t> affinity;
  std::optional<Credentials> user;
  bool no_new_privs = false;
  std::uint64_t blocked_signals = 0;  // signal_bit of each that waits until the program unblocks it
  bool sibling = false;               // CLONE_PARENT
  // The first process of a new pid namespace, which lives and dies with it.
  bool begins_pid_namespace = false;
  // Instead, where >= 0: joins the one that another process began so (open_pid_namespace).
  int pid_namespace = -1;
  ClaimHook claim = nullptr;
  void* claim_argument = nullptr;
  FailureSink failure_sink;
};

struct Spawned {
  pid_t pid = -1;
  UniqueFd pidfd;
  std::vector<int> cgroup_refusals = {};  // CgroupEntry::refusal of each
};

// Success: the program's first instruction is due, or the process was killed on the way there.
// Dispositions are default, no signal but the named is blocked, and only the named descriptors are open.
// Threads: any, but a death signal follows the calling thread, and with `sibling` the parent's.
// Blocking: until the exec, about 0.1 ms. Ownership: the plan's descriptors are borrowed.
// Errors: exec_failed with stage, reason and working directory in the context, and as `failure`.
// A child that failed is reaped here; with `sibling` its parent sees it exit with 127. A pid namespace that was
// refused is stage clone.
[[nodiscard]] Result<Spawned> spawn(const SpawnPlan&, ExecFailure* failure = nullptr);

// The sentence for a failure, also for one that is found later in a failure word.
std::string describe(const SpawnPlan&, const ExecFailure&);

}  // namespace bulkhead::base
