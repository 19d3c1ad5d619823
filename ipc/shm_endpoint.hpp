// The shared-memory transport: one sealed segment per end, a lane in each direction.
// Used by open_endpoint() and connected_pair(); everything else sees an Endpoint.
#pragma once

#include <memory>

#include "ipc/endpoint.hpp"

namespace bulkhead::ipc {

// Makes this end's segment (offer segment_fd() to the peer) and takes over from spec.predecessor.
// Errors: invalid_argument (capacity, max_message, no attention), protocol_violation or
//   version_mismatch for a predecessor that is not a segment of ours; what the system reports.
[[nodiscard]] Result<std::shared_ptr<Endpoint>> open_shm_endpoint(EndSpec);

// What make_sockets(Transport::shm) returns: per end one doorbell for messages and one for space.
[[nodiscard]] Result<SocketEnds> make_doorbells();

}  // namespace bulkhead::ipc
