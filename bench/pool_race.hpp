// Who spreads work over processors, in turns: a round lets each contestant do the same once. Used by `bulkhead bench pool`
// and by bench-pools. Knows no pool, only functions that do work.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/split_work.hpp"

namespace bulkhead::bench {

struct PoolRow {
  std::string workload;  // empty, empty-chunked, mandelbrot, primes
  std::string peer;      // "bulkhead", "openmp", …; "serial" for the loop that speedups refer to
  std::string way;       // of handing the items over: "map", "submit + get"
  unsigned workers = 1;
  std::uint64_t items = 0;  // of a round
  int rounds = 0;
  // Of empty tasks: the median round trip where they go one by one, else the mean time an item. Of the others: what the
  // processors spent beyond the serial loop, an item; negative in noise.
  double task_overhead_ns = 0;
  double mean_ns = 0;  // of an item, a median over the rounds
  // Of mandelbrot and primes, medians over the rounds.
  std::optional<double> serial_ms = {}, parallel_ms = {};
  std::optional<double> speedup = {};     // serial by parallel
  std::optional<double> efficiency = {};  // speedup by workers
  // As efficiency, of the quickest round of each: how it is where nobody else uses the processors.
  std::optional<double> best_efficiency = {};
  double to_ours = 1;        // its time by ours; of the first contestant of peer "bulkhead"
  std::string version = {};  // of another system
};

struct SplitContestant {
  std::string peer, way;
  unsigned workers = 1;
  // All items, results by item.
  std::function<Result<void>(const SplitWork&, std::span<std::uint64_t>)> run;
};

// The first contestant is the serial loop; each begins rounds in turn.
// Errors: protocol_violation, naming who has other results than the serial loop; those of the contestants.
Result<std::vector<PoolRow>> race_splits(const SplitWork&, const std::vector<SplitContestant>&,
                                         int rounds);

struct EmptyTurn {
  double mean_ns = 0;                 // of a task, without a clock in between
  std::optional<double> p50_ns = {};  // of single round trips
};
struct EmptyContestant {
  std::string workload, peer, way;
  unsigned workers = 1;
  std::uint64_t items = 0;
  std::function<Result<EmptyTurn>(std::uint64_t items)> run;
};
Result<std::vector<PoolRow>> race_empty(const std::vector<EmptyContestant>&, int rounds);

nlohmann::json to_json(const std::vector<PoolRow>& rows);  // without the serial loop's
void print_table(const std::vector<PoolRow>& rows);

}  // namespace bulkhead::bench
