// What a worker's sandbox consists of: the files that a strict one may reach, and what `status` and `why` say of it.
// Used by the brain; puts nothing in force itself (base/spawn.hpp, workers/confinement.hpp).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "ipc/sandbox_protocol.hpp"
#include "supervisor/config.hpp"

namespace bulkhead::supervisor {

// The system's programs and libraries, the worker's program and the config are read; working_dir is written too, unless
// the config or the program lies in it: who writes those decides what runs next, and outside of any sandbox.
ipc::SandboxInstall sandbox_files(const WorkerConfig&, const SystemConfig&);

// {level, in_effect, refused, complaint, read, write}; the complaint is "" when nothing is refused. What the kernel tells of the process counts more than what the worker
// told; `told` is its word, where it has spoken. pid 0: it does not run.
nlohmann::json sandbox_json(const WorkerConfig&, const SystemConfig&,
                            const std::optional<ipc::SandboxInstalled>& told, std::int32_t pid);

}  // namespace bulkhead::supervisor
