// How many messages a lane carries one way, beside a bare ring of fixed slots in the same run. Used by
// `bulkhead bench throughput`.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace bulkhead::bench {

struct ThroughputRow {
  std::size_t size = 0;
  double messages_per_s = 0;  // median of the rounds, received
  double bytes_per_s = 0;
  std::string baseline = "spsc";
  double baseline_messages_per_s = 0;
  double ratio = 0;
};

struct ThroughputOptions {
  bool quick = false;
  std::vector<std::size_t> sizes;  // empty: all of them
};

// Two pinned processes, both awake, 15 interleaved rounds each of ours and the bare ring. Blocking:
// under a minute. Errors: unsupported with fewer than two processors; what the system reports.
Result<std::vector<ThroughputRow>> run_throughput(const ThroughputOptions&);

nlohmann::json to_json(const std::vector<ThroughputRow>&);
void print_table(const std::vector<ThroughputRow>&);

}  // namespace bulkhead::bench
