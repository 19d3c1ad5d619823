// The name of a system's control socket: how a start takes it without harm to what lies there. Used by
// launch; knows nothing of what is said over the socket.
#pragma once

#include <bulkhead/error.hpp>
#include <string>

#include "base/fd.hpp"

namespace bulkhead::supervisor {

// Listens at `path`, which only the owner can enter. A socket that lies there is removed when nobody listens
// on it any more. Blocking: up to 2 s while others start systems in the same directory.
// Errors: already_exists for a file that is no socket, and for a socket that somebody listens on;
// invalid_argument for a path that is too long.
Result<base::UniqueFd> listen_on(const std::string& path);

}  // namespace bulkhead::supervisor
