// The two ends of the channel between a pool and a worker, which are opened in two processes and told of each other by
// descriptors. Used by seats and by the worker process.
#pragma once

#include <bulkhead/error.hpp>
#include <memory>

#include "ipc/endpoint.hpp"

namespace bulkhead::pool {

// `from` is the owner's. Errors: of the system.
Result<std::shared_ptr<ipc::Endpoint>> open_channel_end(ipc::Side);

}  // namespace bulkhead::pool
