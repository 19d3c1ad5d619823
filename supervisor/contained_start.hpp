// The pid namespace of a contained worker: begun before each of its incarnations (docs/design/pid-namespace.md). Used by
// Processes.
#pragma once

#include <string>

#include "base/spawn.hpp"

namespace bulkhead::supervisor {

struct PidNamespaceBegun {
  base::Spawned first;  // with whose death everybody in it dies
  base::UniqueFd file;  // for SpawnPlan::pid_namespace
};

// Starts bulkhead-init, which bears the environment of the worker of this plan and with it the cookie: whoever sweeps
// finds it among the keeper's children. Errors: as of spawn(); peer_died when it was killed at once.
[[nodiscard]] Result<PidNamespaceBegun> begin_pid_namespace(const base::SpawnPlan& of_worker,
                                                            const std::string& program_directory);

}  // namespace bulkhead::supervisor
