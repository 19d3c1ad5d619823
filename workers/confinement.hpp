// Puts a strict sandbox in force on this process: files by Landlock, system calls by the filter that the supervisor
// made, no ptrace and no core. Used by ControlLink, between the hello and the worker's body; knows nothing of why.
#pragma once

#include <bulkhead/error.hpp>

#include "base/fd.hpp"
#include "ipc/sandbox_protocol.hpp"

namespace bulkhead::workers {

// What the kernel does not offer of Landlock is told in `refused`: the filter stands without it. Without the filter
// there is no sandbox. Threads: all get the filter; Landlock covers the calling one and those that it starts.
// Errors: unsupported, protocol_violation, what the system says. Nothing should run after one.
[[nodiscard]] Result<ipc::SandboxInstalled> confine(const ipc::SandboxInstall&,
                                                    const base::UniqueFd& filter);

}  // namespace bulkhead::workers
