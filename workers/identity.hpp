// How a spare becomes an instance: what a program of its own would have found in its environment, and where its output
// goes. Used by ControlLink when the answer to the hello of a spare comes; knows no packet.
#pragma once

#include <bulkhead/error.hpp>

#include "base/fd.hpp"
#include "ipc/control_protocol.hpp"

namespace bulkhead::workers {

// Idempotent. What was written to stdout before and not flushed goes to the log of the spare.
// Threads: no other may look at the environment meanwhile. Errors: of the system.
[[nodiscard]] Result<void> take_identity(const ipc::HelloAnswer&, const base::UniqueFd& output);

}  // namespace bulkhead::workers
