// Where systems live: control sockets, locks and logs. Used by `run`, by everything that looks for a
// system by name, and by tests; knows nothing of what the files hold.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::base {

// $BULKHEAD_RUNTIME_DIR, else $XDG_RUNTIME_DIR/bulkhead, else /run/bulkhead for root, else
// /tmp/bulkhead-UID. An empty variable counts as unset. Makes nothing.
std::string runtime_directory();

// "<runtime dir>/<name>.sock".
std::string control_socket_path(std::string_view runtime_dir, std::string_view name);

}  // namespace bulkhead::base
