// How a process ended, as the JSON that users see: in the status, in events, in simulations. Knows nothing of
// who shows it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "supervisor/core_state.hpp"

namespace bulkhead::supervisor {

// {"kind":"signal","signal":"SIGKILL","code":9,"t_ns":1}, or null: as in `status --json`.
nlohmann::json render_exit(const ExitCause&);
std::string_view signal_name(int signal) noexcept;  // "SIGKILL"; "?" for a number without a name

}  // namespace bulkhead::supervisor
