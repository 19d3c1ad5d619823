// How many messages lanes carry one way, beside a bare ring of fixed slots in the same run. Used by
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
  bool batch = false;
  unsigned producers = 1, consumers = 1;
  double messages_per_s = 0;  // median of the rounds; deliveries, all consumers together
  double bytes_per_s = 0;
  std::string baseline = "spsc";  // a bare ring of fixed slots; "lane": the single lane, same size
  double baseline_messages_per_s = 0;
  double ratio = 0;
};

struct ThroughputOptions {
  bool quick = false;
  std::vector<std::size_t> sizes;  // empty: all of them
};

// Pinned processes, 15 interleaved rounds of everything. Blocking: about a minute. Errors: unsupported with fewer than two processors; what the system reports.
Result<std::vector<ThroughputRow>> run_throughput(const ThroughputOptions&);

nlohmann::json to_json(const std::vector<ThroughputRow>&);
void print_table(const std::vector<ThroughputRow>&);

}  // namespace bulkhead::bench
