// Starts, signals and cleans up after the processes of instances: turns a worker's config into a
// spawn plan, and keeps the pidfd of each living incarnation. Used by the brain; decides nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/spawn.hpp"
#include "supervisor/brain_arguments.hpp"
#include "supervisor/core.hpp"
#include "supervisor/keeper_client.hpp"
#include "supervisor/plain_start.hpp"
#include "supervisor/state_region.hpp"
#include "supervisor/worker_limits.hpp"

namespace bulkhead::supervisor {

// What a start needs beside the config. Borrowed.
struct StartFds {
  int control = -1;               // the worker's end of its control socket; -1 for a plain program
  int output = -1;                // the write end of its log pipe
  std::vector<int> sockets = {};  // as its config names them
  const PlainStart* plain = nullptr;  // of a program that does not use the runtime
  bool urgent = false;                // docs/adr/0008
};

struct StartOutcome {
  Generation generation = 0;
  std::int32_t pid = 0;  // 0: not started, for the reason in `error`
  std::optional<Error> error;
  int error_number = 0;
  bool program_at_fault = false;  // trying again is no use
};

// Threads: the brain's loop. Blocking: start until the exec; sweep up to a second when what a dead
// worker left behind does not die. After a crash of the brain: adopt() takes over what lives.
class Processes {
 public:
  Processes(const SystemConfig&, const Plan&, const BrainArguments&, KeeperClient&, StateRegion&,
            WorkerLimits&, std::uint64_t system_id);

  StartOutcome start(Slot, Generation, const StartFds&);
  // The same for a program of the supervisor's own, in an internal slot.
  StartOutcome start_internal(Slot, base::SpawnPlan&);
  // The spare's process is the instance's from now on. Returns the generation, which may be a later one.
  Generation promote(Slot spare, Slot slot, Generation);
  // A start that failed before it could be tried uses up its generation all the same.
  Generation burn(Slot slot, Generation generation) { return state_.bump(slot, generation); }

  // A process that an earlier brain started; its exit has not been read.
  void adopt(Slot, Generation, std::int32_t pid);
  // One that has ended: its death may be stored while what it left behind is not swept yet.
  void recall(Slot slot, Generation generation) { living_[slot].generation = generation; }
  void recall_as_spare(Slot, Slot spare, Generation);
  void ended(Slot) noexcept;

  bool alive(Slot) const noexcept;
  Generation generation(Slot) const noexcept;
  std::vector<Generation> living() const;  // by slot; 0 where none lives
  std::int32_t pid(Slot) const noexcept;

  // "NAME=VALUE" in the environment of all that descends from an incarnation, unless it is taken out there.
  std::string cookie(Slot, Generation) const;
  bool is_living(std::int32_t pid) const noexcept;  // one that we started, in whatever slot

  // To the process itself. Errors: not_found when none lives, what the system says.
  Result<void> signal(Slot, int signal);
  // To its whole process group, followed by SIGCONT: a stopped process would never see it.
  void stop_group(Slot, int signal);
  // SIGKILL to everything that descends from it, itself included.
  void kill_tree(Slot);
  // The process is dead: SIGKILL to what it left behind. Cheap when it left nothing.
  void sweep(Slot);
  // Of an adopted process: what it started as that generation of that spare bears another cookie.
  void was_spare(Slot, Slot spare, Generation);

 private:
  StartOutcome launch(Slot, Generation, base::SpawnPlan&);
  bool is_contained(Slot) const noexcept;
  struct Living {
    Generation generation = 0;
    std::int32_t pid = 0;
    base::UniqueFd pidfd;
    std::string cookie_as_spare;  // empty: it never was one
  };

  Result<base::SpawnPlan> make_spawn_plan(Slot, Generation, const StartFds&) const;
  std::optional<std::vector<pid_t>> strangers() const;

  const SystemConfig& config_;
  const Plan& plan_;
  const BrainArguments& arguments_;
  KeeperClient& keeper_;
  StateRegion& state_;
  WorkerLimits& limits_;
  std::uint64_t system_id_;
  std::vector<Living> living_;  // by slot, the internal ones last
};

}  // namespace bulkhead::supervisor
