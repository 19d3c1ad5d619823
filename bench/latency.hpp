// How long a message takes to the other process and back, over each transport and beside the bare
// mechanism in the same run. Used by `bulkhead bench latency`.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead::bench {

struct BenchRow {
  std::string bench = "latency";
  Transport transport = Transport::shm;
  WaitMode mode = WaitMode::spin;
  std::size_t size = 0;
  std::uint64_t n = 0;  // round trips behind the percentiles
  double p50_ns = 0, p90_ns = 0, p99_ns = 0, p999_ns = 0, max_ns = 0;
  double mean_ns = 0;                          // median of the means of the rounds, no clock inside
  double cpu_percent = 0;                      // of both processes together
  std::optional<double> syscalls_per_message;  // where the transport counts them
  bool zero_copy = false;
  std::string baseline;  // cacheline, futex, unix, tcp, pipe
  double baseline_mean_ns = 0;
  double ratio = 0;
  std::string peer = "bulkhead";
};

struct LatencyOptions {
  bool quick = false;  // fewer round trips behind each row
  // Empty: all of them.
  std::vector<Transport> transports;
  std::vector<WaitMode> modes;
  std::vector<std::size_t> sizes;
  std::function<void(const BenchRow&)> on_row;  // as soon as each is there
};

// Two pinned processes a row, at least 15 rounds each of ours and the baseline, in turns.
// In place, without a copy, on shared memory: rows of their own.
// Blocking: minutes, or one when quick. The caller's processor affinity is as before
// afterwards. Errors: unsupported with fewer than two processors; what the system reports.
Result<std::vector<BenchRow>> run_latency(const LatencyOptions& options);

const char* to_text(WaitMode) noexcept;  // as in a config
nlohmann::json to_json(const BenchRow& row);
nlohmann::json to_json(const std::vector<BenchRow>& rows);  // an array: "rows" of `bench --json`
void print_table(const std::vector<BenchRow>& rows);        // on stdout, for a person

}  // namespace bulkhead::bench
