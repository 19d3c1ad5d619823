// Whom faults may hit, and what may be done to each. Used by `chaos`; makes no faults.
#pragma once

#include <bulkhead/connection.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/chaos_schedule.hpp"

namespace bulkhead::cli {

// By its name, because its process changes.
struct Victim {
  std::string name;
  FaultTarget target;
};

// The services that are ready among the workers of the status: who runs to an end, or by the clock, is not expected to
// be there. With `supervisor` also the brain, whom the keeper watches, and the logger; these are not made to leak and
// lose no descriptor: what they hold is everybody's. Errors: of requests.
Result<std::vector<Victim>> find_victims(Connection&, const nlohmann::json& status,
                                         bool with_supervisor);

// Null for a worker that is not there.
const nlohmann::json* find_worker(const nlohmann::json& status, const std::string& name);
// 0 when it does not run.
int pid_of(const nlohmann::json& status, const std::string& victim);

}  // namespace bulkhead::cli
