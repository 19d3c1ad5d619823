#include "bench/latency.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/baseline.hpp"
#include "bench/channel_contestant.hpp"
#include "bench/machine.hpp"

namespace bulkhead::bench {
namespace {

constexpr std::array<std::size_t, 6> all_sizes{8, 56, 64, 1024, 16384, 65536};
constexpr std::array all_transports{Transport::shm, Transport::unix_socket, Transport::tcp,
                                    Transport::pipe};
constexpr int rounds = 15;

// How long one round of one contestant shall take, and how many round trips at most.
struct Effort {
  double round_ns;
  std::uint64_t round_trips_max;
  std::uint64_t samples_max;
};
constexpr Effort thorough{50e6, 200'000, 100'000};
constexpr Effort quick{8e6, 40'000, 10'000};

struct Case {
  Transport transport;
  WaitMode mode;
  std::size_t size;
};

std::vector<WaitMode> modes_of(Transport transport) {
  if (transport == Transport::shm) return {WaitMode::spin, WaitMode::adaptive, WaitMode::block};
  return {WaitMode::adaptive, WaitMode::block};
}

const char* to_text(WaitMode mode) {
  switch (mode) {
    case WaitMode::adaptive: return "adaptive";
    case WaitMode::spin: return "spin";
    case WaitMode::block: return "block";
  }
  return "?";
}

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

// One contestant and how it did so far. The number of round trips follows the last round, so that a
// round keeps its time also where others use the processors.
class Entrant {
 public:
  Entrant(Contestant& contestant, const Effort& effort) noexcept
      : contestant_(contestant), effort_(effort) {}

  Result<void> run_round() {
    const auto round = contestant_.run(count_);
    if (!round) return round.error();
    means_.push_back(round->mean_ns);
    cpu_.push_back(round->cpu_percent);
    calls_.push_back(round->syscalls_per_message);
    const auto fitting =
        static_cast<std::uint64_t>(effort_.round_ns / std::max(round->mean_ns, 1.0));
    count_ = std::clamp<std::uint64_t>(fitting, 32, effort_.round_trips_max);
    return {};
  }
  // The first round only told how long the others should be.
  void forget_rounds() noexcept {
    means_.clear();
    cpu_.clear();
    calls_.clear();
  }
  double mean_ns() const { return median(means_); }
  double cpu_percent() const { return median(cpu_); }
  double syscalls_per_message() const { return median(calls_); }
  std::uint64_t samples() const noexcept { return std::min(count_ * 5, effort_.samples_max); }

 private:
  static double median(std::vector<double> values) { return percentile(values, 0.5); }

  Contestant& contestant_;
  const Effort& effort_;
  std::uint64_t count_ = 64;
  std::vector<double> means_, cpu_, calls_;
};

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
  auto ours = start_channel(processors, wanted.transport, wanted.mode, wanted.size);
  if (!ours) return ours.error();
  auto [name, bare] = start_baseline(wanted, processors);
  if (!bare) return bare.error();
  row.baseline = name;
  Entrant us(**ours, effort), them(**bare, effort);
  for (int i = 0; i <= rounds; ++i) {
    if (auto ran = us.run_round(); !ran) return ran.error();
    if (auto ran = them.run_round(); !ran) return ran.error();
    if (i > 0) continue;
    us.forget_rounds();
    them.forget_rounds();
  }
  row.mean_ns = us.mean_ns();
  row.baseline_mean_ns = them.mean_ns();
  row.ratio = row.mean_ns / row.baseline_mean_ns;
  row.cpu_percent = us.cpu_percent();
  if (wanted.transport == Transport::shm) row.syscalls_per_message = us.syscalls_per_message();
  if (auto filled = fill_percentiles(**ours, us.samples(), row); !filled) return filled.error();
  return row;
}

// The caller's own affinity, put back at the end.
class Affinity {
 public:
  Affinity() noexcept {
    CPU_ZERO(&before_);
    ::sched_getaffinity(0, sizeof before_, &before_);
  }
  ~Affinity() { ::sched_setaffinity(0, sizeof before_, &before_); }
  Affinity(const Affinity&) = delete;
  Affinity& operator=(const Affinity&) = delete;

  Result<Processors> first_two() const {
    std::vector<int> found;
    for (int cpu = 0; cpu < CPU_SETSIZE && found.size() < 2; ++cpu) {
      if (CPU_ISSET(static_cast<std::size_t>(cpu), &before_)) found.push_back(cpu);
    }
    if (found.size() == 2) return Processors{found[0], found[1]};
    return make_error(Errc::unsupported,
                      "bench latency needs two processors that this process may run on");
  }

 private:
  cpu_set_t before_;
};

}  // namespace

Result<std::vector<BenchRow>> run_latency(const LatencyOptions& options) {
  const Affinity affinity;
  const auto processors = affinity.first_two();
  if (!processors) return processors.error();
  if (auto pinned = pin_to(processors->ping); !pinned) return pinned.error();
  const auto transports = options.transports.empty()
                              ? std::vector(all_transports.begin(), all_transports.end())
                              : options.transports;
  const auto sizes =
      options.sizes.empty() ? std::vector(all_sizes.begin(), all_sizes.end()) : options.sizes;
  std::vector<BenchRow> rows;
  for (const Transport transport : transports) {
    for (const WaitMode mode : modes_of(transport)) {
      for (const std::size_t size : sizes) {
        auto row = measure({transport, mode, size}, *processors, options.quick ? quick : thorough);
        if (!row) return row.error();
        if (options.on_row) options.on_row(*row);
        rows.push_back(std::move(*row));
      }
    }
  }
  return rows;
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
  std::printf("%-9s %-8s %6s %10s %10s %10s %10s %6s  %s\n", "transport", "mode", "bytes", "mean",
              "p50", "p99", "p99.9", "ratio", "to the bare");
  for (const auto& row : rows) {
    std::printf("%-9s %-8s %6zu %7.2f us %7.2f us %7.2f us %7.2f us %6.2f  %s, %.2f us\n",
                std::string(to_string(row.transport)).c_str(), to_text(row.mode), row.size,
                row.mean_ns / 1e3, row.p50_ns / 1e3, row.p99_ns / 1e3, row.p999_ns / 1e3, row.ratio,
                row.baseline.c_str(), row.baseline_mean_ns / 1e3);
  }
  std::fflush(stdout);
}

}  // namespace bulkhead::bench
