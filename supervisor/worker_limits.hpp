// The limits of workers' resources: by a cgroup where one can be made, else by an rlimit; what came of that, and which
// deaths the kernel brought about for want of memory. Used by Processes and Brain; decides nothing about restarts.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/spawn.hpp"
#include "supervisor/cgroup_tree.hpp"
#include "supervisor/core.hpp"

namespace bulkhead::supervisor {

// Those that limits of workers need.
enum class Controller : std::uint8_t { memory, pids };
std::string_view to_string(Controller) noexcept;

// What is known of the memory of somebody who died.
struct MemoryDeath {
  std::uint64_t limit = 0;  // that it had; 0: none
  OomCount oom;             // 0 without a cgroup
  bool was_killed = false;  // and not only one of its children
};

// Threads: the brain's loop. Blocking: ended() for up to a second when what is left in a cgroup does not die. After a
// crash of the brain: what is in force is asked of the kernel, so that a successor knows it, too.
class WorkerLimits {
 public:
  WorkerLimits(const SystemConfig&, const Plan&, std::string tree_name, pid_t keeper);

  // Adds to the plan what holds the limits: cgroups made for this incarnation, rlimits instead and besides. Borrowed
  // by the plan until started() or ended().
  void prepare(Slot, Generation, base::SpawnPlan&);
  // Says on stderr what was refused, unless it has said so before.
  void started(Slot, Generation, const base::Spawned&);

  // An incarnation that an earlier brain started.
  void adopt(Slot, Generation, std::int32_t pid);

  // It is a process that began as that generation of a spare, and stays in the cgroups that were made for that.
  struct Incarnation {
    Slot slot;
    Generation generation;
    std::int32_t pid;
  };
  void was_spare(const Incarnation&, Slot spare, Generation generation_as_spare);

  // Once a beat, of those that live: `is_alive` by slot.
  void look(const std::vector<Generation>& living);
  // Before ended().
  MemoryDeath death(Slot, Generation, bool by_sigkill) const;
  // The process is dead: SIGKILL to whoever is left in its cgroups, and away with them.
  void ended(Slot, Generation);
  // Removes the cgroups of whoever does not live: what a predecessor left, and what could not be removed at once.
  void collect(const std::vector<Generation>& living);
  bool has_leftovers() const noexcept { return has_leftovers_; }
  // All have gone. False: something is still there, to be tried again.
  bool remove_all();

  // {memory: {bytes, by, refused, oom_kills}, pids: {count, by, refused}, nofile: …}, of those that its config names.
  nlohmann::json status(Slot, std::int32_t pid, Generation) const;
  // Which limits a cgroup does not hold although it should, and why; "" when there is none.
  std::string complaint(Slot) const;

 private:
  struct Memory {  // of an instance
    Generation generation = 0;
    std::uint32_t seen = 0;     // kills that it has certainly survived
    std::uint32_t counted = 0;  // at the last look
  };
  struct Wanted {
    Controller controller;
    std::uint64_t limit;
  };

  const Limits& limits_of(Slot) const;
  std::vector<Wanted> wanted(Slot) const;
  CgroupTree& tree(Controller controller) { return trees_[static_cast<std::size_t>(controller)]; }
  const CgroupTree& tree(Controller controller) const {
    return trees_[static_cast<std::size_t>(controller)];
  }
  std::string leaf(Slot, Generation) const;
  Result<base::UniqueFd> make_cgroup(const Wanted&, const std::string& leaf);
  bool is_within(std::int32_t pid, Controller, const std::string& leaf) const;
  void refuse(Slot, Controller, const std::string& why);

  const SystemConfig& config_;
  const Plan& plan_;
  std::vector<CgroupTree> trees_;  // by Controller
  std::map<std::pair<Slot, Controller>, std::string> refused_;
  std::map<std::pair<std::string, Controller>, std::string> told_;  // by worker
  std::map<Slot, Memory> memories_;
  std::map<Slot, std::pair<Generation, std::string>>
      begun_as_;                      // of spares that were promoted: the leaf
  std::vector<base::UniqueFd> lent_;  // to the plan at hand, in its order
  std::vector<Controller> lent_to_;
  bool has_leftovers_ = true;  // of a predecessor, for all we know
};

}  // namespace bulkhead::supervisor
