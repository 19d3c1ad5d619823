#include "bench/pool_race.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/machine.hpp"

namespace bulkhead::bench {
namespace {

// Whoever has just worked spins for a while before it sleeps (libgomp's threads for some 10 ms), on a processor that is
// the next one's.
constexpr auto rest = std::chrono::milliseconds(20);

// turn(i) of each contestant of each round; the first round warms up.
template <class Turn>
Result<void> take_turns(std::size_t contestants, int rounds, const Turn& turn) {
  for (int round = -1; round < rounds; ++round) {
    for (std::size_t k = 0; k < contestants; ++k) {
      const std::size_t i = (static_cast<std::size_t>(round + 1) + k) % contestants;
      std::this_thread::sleep_for(rest);
      if (auto taken = turn(i, round < 0); !taken) return taken.error();
    }
  }
  return {};
}

template <class Contestant>
void compare_with_ours(const std::vector<Contestant>& contestants, std::vector<PoolRow>& rows,
                       double PoolRow::*figure) {
  const auto ours = std::find_if(contestants.begin(), contestants.end(),
                                 [](const auto& each) { return each.peer == "bulkhead"; });
  if (ours == contestants.end()) return;
  const double reference = rows[static_cast<std::size_t>(ours - contestants.begin())].*figure;
  for (PoolRow& row : rows) row.to_ours = row.*figure / reference;
}

}  // namespace

Result<std::vector<PoolRow>> race_splits(const SplitWork& work,
                                         const std::vector<SplitContestant>& contestants,
                                         int rounds) {
  using clock = std::chrono::steady_clock;
  std::vector<std::uint64_t> expected(work.items), results;
  for (std::uint32_t item = 0; item < work.items; ++item) expected[item] = work(item);
  std::vector<std::vector<double>> times_ns(contestants.size());
  const auto turn = [&](std::size_t i, bool warms_up) -> Result<void> {
    results.assign(work.items, 0);
    const auto start = clock::now();
    if (auto run = contestants[i].run(work, results); !run) return run.error();
    const auto took = std::chrono::duration<double, std::nano>(clock::now() - start);
    if (results != expected) {
      return make_error(Errc::protocol_violation,
                        contestants[i].peer + ": wrong results of " + to_text(work.kind));
    }
    if (!warms_up) times_ns[i].push_back(took.count());
    return {};
  };
  if (auto raced = take_turns(contestants.size(), rounds, turn); !raced) return raced.error();

  const double serial_ns = percentile(times_ns[0], 0.5), serial_best_ns = times_ns[0].front();
  std::vector<PoolRow> rows;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const double ns = percentile(times_ns[i], 0.5), best_ns = times_ns[i].front();  // sorted
    const double workers = contestants[i].workers, items = work.items;
    PoolRow row{to_text(work.kind),     contestants[i].peer, contestants[i].way,
                contestants[i].workers, work.items,          rounds};
    row.task_overhead_ns = (workers * ns - serial_ns) / items;
    row.mean_ns = ns / items;
    row.serial_ms = serial_ns / 1e6;
    row.parallel_ms = ns / 1e6;
    row.speedup = serial_ns / ns;
    row.efficiency = serial_ns / ns / workers;
    row.best_efficiency = serial_best_ns / best_ns / workers;
    rows.push_back(std::move(row));
  }
  compare_with_ours(contestants, rows, &PoolRow::mean_ns);
  return rows;
}

Result<std::vector<PoolRow>> race_empty(const std::vector<EmptyContestant>& contestants,
                                        int rounds) {
  std::vector<std::vector<double>> means(contestants.size()), medians(contestants.size());
  const auto turn = [&](std::size_t i, bool warms_up) -> Result<void> {
    const auto taken = contestants[i].run(contestants[i].items);
    if (!taken) return taken.error();
    if (warms_up) return {};
    means[i].push_back(taken->mean_ns);
    if (taken->p50_ns) medians[i].push_back(*taken->p50_ns);
    return {};
  };
  if (auto raced = take_turns(contestants.size(), rounds, turn); !raced) return raced.error();

  std::vector<PoolRow> rows;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const EmptyContestant& each = contestants[i];
    PoolRow row{each.workload, each.peer, each.way, each.workers, each.items, rounds};
    row.mean_ns = percentile(means[i], 0.5);
    row.task_overhead_ns = medians[i].empty() ? row.mean_ns : percentile(medians[i], 0.5);
    rows.push_back(std::move(row));
  }
  compare_with_ours(contestants, rows, &PoolRow::task_overhead_ns);
  return rows;
}

namespace {

nlohmann::json or_null(const std::optional<double>& figure) {
  return figure ? nlohmann::json(*figure) : nlohmann::json();
}

std::string duration_text(double ns) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), ns < 1e4 ? "%.1f ns" : "%.1f us",
                ns < 1e4 ? ns : ns / 1e3);
  return text.data();
}

void print_line(const PoolRow& row) {
  std::printf("  %-20s %-18s %7u %8llu %11s %11s", row.peer.c_str(), row.way.c_str(), row.workers,
              static_cast<unsigned long long>(row.items),
              duration_text(row.task_overhead_ns).c_str(), duration_text(row.mean_ns).c_str());
  if (row.speedup) {
    std::printf(" %8.1f ms %7.2fx %10.3f %7.3f", *row.parallel_ms, *row.speedup, *row.efficiency,
                *row.best_efficiency);
  }
  std::printf(" %8.2fx\n", row.to_ours);
}

void print_heading(const PoolRow& row) {
  std::printf("%s, %d rounds\n", row.workload.c_str(), row.rounds);
  std::printf("  %-20s %-18s %7s %8s %11s %11s", "", "", "workers", "items",
              row.workload == "empty" ? "p50" : "overhead", "an item");
  if (row.speedup) std::printf(" %11s %8s %10s %7s", "a round", "speedup", "efficiency", "best");
  std::printf(" %9s\n", "to ours");
}

}  // namespace

nlohmann::json to_json(const std::vector<PoolRow>& rows) {
  auto array = nlohmann::json::array();
  for (const PoolRow& row : rows) {
    if (row.peer == "serial") continue;
    array.push_back(
        {{"bench", "pool"},
         {"workload", row.workload},
         {"workers", row.workers},
         {"way", row.way},
         {"items", row.items},
         {"rounds", row.rounds},
         {"task_overhead_ns", row.task_overhead_ns},
         {"mean_ns", row.mean_ns},
         {"serial_ms", or_null(row.serial_ms)},
         {"parallel_ms", or_null(row.parallel_ms)},
         {"speedup", or_null(row.speedup)},
         {"efficiency", or_null(row.efficiency)},
         {"best_efficiency", or_null(row.best_efficiency)},
         {"to_ours", row.to_ours},
         {"version", row.version.empty() ? nlohmann::json() : nlohmann::json(row.version)},
         {"peer", row.peer}});
  }
  return array;
}

void print_table(const std::vector<PoolRow>& rows) {
  std::string workload;
  for (const PoolRow& row : rows) {
    if (row.workload != workload) print_heading(row);
    workload = row.workload;
    print_line(row);
  }
  std::fflush(stdout);
}

}  // namespace bulkhead::bench
