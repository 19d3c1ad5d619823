// Incidents for a person: those that are alike together, with what stands in their reports; and how long recoveries
// took. Used by `incidents`. Knows nothing of where incidents come from.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace bulkhead::cli {

// {"SIGKILL":{"n":9,"ready_p50_us":…,"ready_p99_us":…}} of incidents whose successor became ready.
nlohmann::json recovery_by_cause(const nlohmann::json& incidents);

// "" for none. `offset_ns` turns the incidents' clock into the one on the wall.
std::string incident_groups(const nlohmann::json& incidents, std::int64_t offset_ns, bool colours);
// `title` heads the column of what the recoveries were from.
std::string recovery_table(const nlohmann::json& recovery, bool colours,
                           const std::string& title = "RECOVERY FROM");

}  // namespace bulkhead::cli
