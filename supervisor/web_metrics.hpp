// The status of a system in the text format of Prometheus. Every name, type and label that is written here stands in
// docs/metrics.md. Pure; used by the pages of the web process.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "supervisor/web_tally.hpp"

namespace bulkhead::supervisor {

// `status` is what the control protocol answers, with the internal workers. `realtime_minus_monotonic_ns` turns the
// times in it into those of the calendar.
std::string metrics_text(const nlohmann::json& status, const WebTally&,
                         std::int64_t realtime_minus_monotonic_ns);

}  // namespace bulkhead::supervisor
