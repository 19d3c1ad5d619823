// Messages one way, ours and other people's libraries': between two pinned processes that sleep when there is
// nothing to do, as each library does by default. RPC libraries have no such thing. Used by report.cpp.
#pragma once

#include <bulkhead/error.hpp>
#include <string>
#include <vector>

#include "bench/others/race.hpp"

namespace bulkhead::bench::others {

struct StreamRow {
  std::string peer;  // "bulkhead", "iceoryx", …
  std::string transport;
  double messages_per_s = 0;  // median of the rounds
};

// Ours over shared memory comes first: what the others are held against. Rounds, Blocking, Threads and Errors as
// for run_race().
Result<std::vector<StreamRow>> run_streams(const RaceOptions&);

}  // namespace bulkhead::bench::others
