#include "bench/latency.hpp"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/affinity.hpp"
#include "bench/baseline.hpp"
#include "bench/channel_contestant.hpp"
#include "bench/entrant.hpp"
#include "bench/machine.hpp"

namespace bulkhead::bench {
namespace {

constexpr std::array<std::size_t, 7> all_sizes{8, 56, 64, 1024, 16384, 65536, 1048576};
constexpr std::array all_modes{WaitMode::spin, WaitMode::adaptive, WaitMode::block};
constexpr std::size_t in_place_from = 64;  // bytes: what is shorter has no two lines to touch
constexpr std::array all_transports{Transport::shm, Transport::unix_socket, Transport::tcp,
                                    Transport::pipe};
struct Case {
  Transport transport;
  WaitMode mode;
  std::size_t size;
  Carry carry;
};

struct Baseline {
  const char* name;
  Result<std::unique_ptr<Contestant>> contestant;
};

Baseline start_baseline(const Case& wanted, Processors processors) {
  switch (wanted.transport) {
    case Transport::shm:
      if (wanted.mode == WaitMode::block) return {"futex", start_futex(processors, wanted.size)};
      return {"cacheline", start_cacheline(processors)};
    case Transport::unix_socket: return {"unix", start_unix(processors, wanted.size)};
    case Transport::tcp: return {"tcp", start_tcp(processors, wanted.size)};
    case Transport::pipe: break;
  }
  return {"pipe", start_pipe(processors, wanted.size)};
}

Result<void> fill_percentiles(Contestant& ours, std::uint64_t count, BenchRow& row) {
  Histogram histogram;
  if (auto sampled = ours.sample(count, histogram); !sampled) return sampled;
  row.n = histogram.count();
  const auto at = [&](double share) { return static_cast<double>(histogram.percentile(share)); };
  row.p50_ns = at(0.5);
  row.p90_ns = at(0.9);
  row.p99_ns = at(0.99);
  row.p999_ns = at(0.999);
  row.max_ns = static_cast<double>(histogram.max());
  return {};
}

Result<BenchRow> measure(const Case& wanted, Processors processors, const Effort& effort) {
  BenchRow row;
  row.transport = wanted.transport;
  row.mode = wanted.mode;
  row.size = wanted.size;
  row.zero_copy = wanted.carry == Carry::in_place;
  auto ours = start_channel(processors, wanted.transport, wanted.mode, wanted.size, wanted.carry);
  if (!ours) return ours.error();
  auto [name, bare] = start_baseline(wanted, processors);
  if (!bare) return bare.error();
  row.baseline = name;
  std::vector<Entrant> entrants{{**ours, effort}, {**bare, effort}};
  if (auto raced = race(entrants); !raced) return raced.error();
  const Entrant &us = entrants[0], &them = entrants[1];
  row.mean_ns = us.mean_ns();
  row.baseline_mean_ns = them.mean_ns();
  row.ratio = row.mean_ns / row.baseline_mean_ns;
  row.cpu_percent = us.cpu_percent();
  if (wanted.transport == Transport::shm) row.syscalls_per_message = us.syscalls_per_message();
  if (auto filled = fill_percentiles(**ours, us.samples(), row); !filled) return filled.error();
  return row;
}

template <class T, std::size_t n>
std::vector<T> chosen(const std::vector<T>& some, const std::array<T, n>& all) {
  return some.empty() ? std::vector<T>(all.begin(), all.end()) : some;
}

std::vector<Case> cases(const LatencyOptions& options) {
  std::vector<Case> wanted;
  const auto sizes = chosen(options.sizes, all_sizes);
  for (const Transport transport : chosen(options.transports, all_transports)) {
    for (const WaitMode mode : chosen(options.modes, all_modes)) {
      for (const std::size_t size : sizes) wanted.push_back({transport, mode, size, Carry::copied});
      if (transport != Transport::shm) continue;
      for (const std::size_t size : sizes) {
        if (size >= in_place_from) wanted.push_back({transport, mode, size, Carry::in_place});
      }
    }
  }
  return wanted;
}

}  // namespace

Result<std::vector<BenchRow>> run_latency(const LatencyOptions& options) {
  const Affinity affinity;
  const auto processors = affinity.first_two();
  if (!processors) return processors.error();
  if (auto pinned = pin_to(processors->ping); !pinned) return pinned.error();
  std::vector<BenchRow> rows;
  for (const Case& wanted : cases(options)) {
    auto row = measure(wanted, *processors, options.quick ? quick : thorough);
    if (!row) return row.error();
    if (options.on_row) options.on_row(*row);
    rows.push_back(std::move(*row));
  }
  return rows;
}

const char* to_text(WaitMode mode) noexcept {
  switch (mode) {
    case WaitMode::adaptive: return "adaptive";
    case WaitMode::spin: return "spin";
    case WaitMode::block: return "block";
  }
  return "?";
}

nlohmann::json to_json(const BenchRow& row) {
  nlohmann::json json = {{"bench", row.bench},
                         {"transport", to_string(row.transport)},
                         {"mode", to_text(row.mode)},
                         {"size", row.size},
                         {"n", row.n},
                         {"p50_ns", row.p50_ns},
                         {"p90_ns", row.p90_ns},
                         {"p99_ns", row.p99_ns},
                         {"p999_ns", row.p999_ns},
                         {"max_ns", row.max_ns},
                         {"mean_ns", row.mean_ns},
                         {"cpu_percent", row.cpu_percent},
                         {"syscalls_per_message", nullptr},
                         {"zero_copy", row.zero_copy},
                         {"baseline", row.baseline},
                         {"baseline_mean_ns", row.baseline_mean_ns},
                         {"ratio", row.ratio},
                         {"peer", row.peer}};
  if (row.syscalls_per_message) json["syscalls_per_message"] = *row.syscalls_per_message;
  return json;
}

nlohmann::json to_json(const std::vector<BenchRow>& rows) {
  auto array = nlohmann::json::array();
  for (const auto& row : rows) array.push_back(to_json(row));
  return array;
}

void print_table(const std::vector<BenchRow>& rows) {
  std::printf("%-9s %-8s %7s %-8s %10s %10s %10s %10s %6s  %s\n", "transport", "mode", "bytes", "",
              "mean", "p50", "p99", "p99.9", "ratio", "to the bare");
  for (const auto& row : rows) {
    std::printf("%-9s %-8s %7zu %-8s %7.2f us %7.2f us %7.2f us %7.2f us %6.2f  %s, %.2f us\n",
                std::string(to_string(row.transport)).c_str(), to_text(row.mode), row.size,
                row.zero_copy ? "in place" : "copied", row.mean_ns / 1e3, row.p50_ns / 1e3,
                row.p99_ns / 1e3, row.p999_ns / 1e3, row.ratio, row.baseline.c_str(),
                row.baseline_mean_ns / 1e3);
  }
  std::fflush(stdout);
}

}  // namespace bulkhead::bench
