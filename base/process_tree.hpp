// Finds and kills everything that a worker started, also what left its process group and session.
// Used by the brain and tests; knows processes only by /proc.
#pragma once

#include <sys/types.h>
#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bulkhead::base {

// A process belongs to the tree when any of the three says so. The caller never does.
struct ProcessTree {
  std::string cookie;  // "NAME=VALUE" in its environment at exec; "" = not asked
  pid_t group = 0;     // its process group; 0 = not asked
  pid_t root = 0;      // is it, or descends from it; 0 = not asked
};

// Living ones only: a zombie is gone. Processes of other users are seen by group and root, but
// their environment can be read by root alone.
std::vector<pid_t> find_processes(const ProcessTree&);

// The children that the main thread of `parent` made or was left, none of them missing; some may be zombies, or
// reaped by now. nullopt: no such process, or a kernel without CONFIG_PROC_CHILDREN.
std::optional<std::vector<pid_t>> children_of(pid_t parent);

// The process and its ancestors, the nearest first, as far as we can see them. Empty for one that has been reaped. Of a
// moving thing: the caller pins `pid` if it must be sure whose number that is.
std::vector<pid_t> ancestry(pid_t pid);

// Whether "NAME=VALUE" is in its environment as that was at exec. False too when it is not ours to read.
bool has_entry(pid_t pid, const std::string& entry);

// Of these, those that have the entry "NAME=VALUE" in their environment; SIGKILLed and waited for, each
// pinned as below. Returns how many. Cheap: looks at nobody else.
std::size_t kill_those_with(const std::string& entry, std::span<const pid_t> pids, Deadline);

// SIGKILLs until nothing is found any more, so that a fork in between is caught too. Each is pinned
// by a pidfd and looked at again before the signal, so a reused number is never hit. Returns how
// many were killed. Errors: timed_out, naming who is left (in state D, or not ours to kill).
Result<std::size_t> kill_tree(const ProcessTree&, Deadline);

}  // namespace bulkhead::base
