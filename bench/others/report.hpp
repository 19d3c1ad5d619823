// Carries a race's figures out of the process that ran it, and shows them. Used by race_main.cpp.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/others/race.hpp"

namespace bulkhead::bench::others {

// run_race() in a child, which ends by _exit: no library's farewell delays or disturbs what follows.
// Errors: those of run_race; peer_died when the child did.
Result<std::vector<RaceRow>> run_apart(Waiting, const RaceOptions&);

void print_table(Waiting, const RaceOptions&, const std::vector<RaceRow>&);  // on stdout
// Rows as `bulkhead bench latency --json` has them, with the library's name in "peer".
nlohmann::json to_json(Waiting, const RaceOptions&, const std::vector<RaceRow>&);
bool write_figures(const std::string& path,
                   const nlohmann::json& rows);  // false: said why on stderr

}  // namespace bulkhead::bench::others
