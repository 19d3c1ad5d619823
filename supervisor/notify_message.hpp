// One message of sd_notify(3) as a value: what a program that does not use the runtime says of itself. Pure. Used by
// NotifyDesk; knows neither who sent it nor what follows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/core_types.hpp"

namespace bulkhead::supervisor {

// The longest message that is taken, PIPE_BUF, as systemd has it; the longest name of a stored descriptor, which
// has to fit into a tag of the keeper's store; and as much of a status text as `status` shows.
inline constexpr std::size_t notify_bytes_max = 4096;
inline constexpr std::size_t stored_name_max = 128;
inline constexpr std::size_t notify_status_max = 200;

struct NotifyMessage {
  bool ready = false, reloading = false, stopping = false;
  bool barrier = false;                    // the sender waits until its descriptor is closed
  bool alive = false, gives_up = false;    // WATCHDOG=1, WATCHDOG=trigger
  bool store = false, unstore = false;     // FDSTORE=1, FDSTOREREMOVE=1
  bool polled = true;                      // FDPOLL=0: kept though its peer hangs up
  std::string store_name = "stored";       // FDNAME
  std::optional<std::string> status;       // valid UTF-8 without control characters
  std::optional<TimeNs> watchdog_timeout;  // time_never: none any more
  std::optional<TimeNs> more_time;         // EXTEND_TIMEOUT_USEC
  std::optional<std::int32_t> main_pid, error_number;
  std::vector<std::string> complaints;  // of each assignment that has no meaning, and is left out
};

// Assignments that we do not know are left out, as sd_notify(3) wants it. Of several of one name the first counts.
NotifyMessage parse_notify(std::string_view text);

// As much of a foreign text as can be shown: whole characters, '?' for bytes that are none and for control characters.
std::string printable(std::string_view text, std::size_t bytes_max);

}  // namespace bulkhead::supervisor
