// On which machine figures were taken, and how many samples become one figure. Used by every benchmark.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace bulkhead::bench {

// Those that we may run on: a container often sees more.
unsigned usable_processors() noexcept;

// {"cpu", "cores", "kernel", "commit"}.
nlohmann::json describe_machine(const std::string& commit);

// The smallest sample that at least `share` (0 to 1) of the samples do not exceed (nearest rank); 0 without
// samples. Sorts them.
double percentile(std::vector<double>& samples, double share);

}  // namespace bulkhead::bench
