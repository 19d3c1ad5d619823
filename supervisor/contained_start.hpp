// The pid namespace of a contained worker: begun before each of its incarnations (docs/design/pid-namespace.md). Used by
// Processes.
#pragma once

#include <string>
#include <utility>

#include "base/spawn.hpp"

namespace bulkhead::supervisor {

// A namespace that has its first process, bulkhead-init, and waits for its worker. Destroyed before keep(), it is gone.
class ContainedStart {
 public:
  // bulkhead-init bears the environment of the worker of this plan and with it the cookie: whoever sweeps finds it among
  // the keeper's children. Errors: as of spawn(); peer_died when it was killed at once.
  [[nodiscard]] static Result<ContainedStart> begin(const base::SpawnPlan& of_worker,
                                                    const std::string& program_directory);
  ContainedStart(ContainedStart&&) noexcept = default;
  ContainedStart& operator=(ContainedStart&&) = delete;
  ~ContainedStart();

  int pid_namespace() const noexcept { return file_.get(); }  // for SpawnPlan; borrowed
  void keep() noexcept { first_.pidfd.reset(); }              // the worker runs

 private:
  explicit ContainedStart(base::Spawned first) noexcept : first_(std::move(first)) {}

  base::Spawned first_;  // with whose death everybody in it dies
  base::UniqueFd file_;
};

}  // namespace bulkhead::supervisor
