// Which control socket a name means, and a connection to it. Used by bulkhead::connect(); knows
// nothing of what is said over the socket.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <string>
#include <string_view>

#include "base/fd.hpp"

namespace bulkhead::ipc {

// The path for a name in the runtime directory, for a path (with a slash), or for "" of the only
// system that accepts connections. Errors: no_system; invalid_argument when there are several.
[[nodiscard]] Result<std::string> find_control_socket(std::string_view name_or_path, Deadline);

// Errors: no_system when nobody listens there; not_permitted when the listener is neither our own
// user nor root, or the path is closed to us; timed_out.
[[nodiscard]] Result<base::UniqueFd> connect_control_socket(const std::string& path, Deadline);

}  // namespace bulkhead::ipc
