// Pid namespaces for children, and whether the kernel gives us any. Used by the brain for contained workers, by the
// checks of a config and by `bulkhead doctor`; a child is put into one by spawn().
#pragma once

#include <bulkhead/error.hpp>

#include "base/fd.hpp"
#include "base/spawn.hpp"

namespace bulkhead::base {

// Whether a process of ours may begin one, found out by trying. Blocking: a fork. Errors: permission_denied with the
// remedy, or what the system says.
Result<void> try_pid_namespace();

// The one that this process began, for SpawnPlan::pid_namespace. Errors: peer_died when the process is dead, and what the
// system says.
[[nodiscard]] Result<UniqueFd> open_pid_namespace(const Spawned& first);

}  // namespace bulkhead::base
