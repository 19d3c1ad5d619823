// The round-trip race of ours, the bare mechanisms and other people's libraries, as one table for ends that
// poll and one for ends that sleep: the two compare different things. Used by report.cpp.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "bench/others/peers.hpp"

namespace bulkhead::bench::others {

struct RaceOptions {
  std::size_t bytes = 56;
  bool quick = false;
};

struct RaceRow {
  std::string peer;  // "bulkhead", "iceoryx", …; "bare" for the mechanism that the ratios refer to
  std::string transport;  // what carries it: shm, unix, mq, or the bare mechanism's name
  double mean_ns = 0;     // median of the means of the rounds
  double p50_ns = 0, p99_ns = 0, p999_ns = 0, max_ns = 0;
  double cpu_percent = 0;
  std::uint64_t n = 0;
};

// The bare mechanism comes first. Everybody races once a round, 15 rounds after two trial rounds.
// Blocking: half a minute. Threads: none may run in this process yet, since it forks; iox-roudi must.
// Errors: unsupported with fewer than two processors; what the system or a library reports.
Result<std::vector<RaceRow>> run_race(Waiting, const RaceOptions&);

}  // namespace bulkhead::bench::others
