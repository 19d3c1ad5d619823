// Measures in processes of their own and shows the figures. Used by race_main.cpp.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/others/race.hpp"
#include "bench/others/streams.hpp"

namespace bulkhead::bench::others {

// run_race() and run_streams(), each in a child. Errors: theirs, as `unsupported`; those of run_apart().
Result<std::vector<RaceRow>> race_apart(Waiting, const RaceOptions&);
Result<std::vector<StreamRow>> stream_apart(const RaceOptions&);

// On stdout.
void print_table(Waiting, const RaceOptions&, const std::vector<RaceRow>&);
void print_table(const RaceOptions&, const std::vector<StreamRow>&);
// Rows as `bulkhead bench latency --json` and `bulkhead bench throughput --json` have them, with the library's
// name in "peer".
nlohmann::json to_json(Waiting, const RaceOptions&, const std::vector<RaceRow>&);
nlohmann::json to_json(const RaceOptions&, const std::vector<StreamRow>&);

}  // namespace bulkhead::bench::others
