// One contestant of a race and how it did so far: rounds of about the same time for each, in turns, so that
// whatever else happens on the machine happens to all. Used by latency.cpp and by others/.
#pragma once

#include <bulkhead/error.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "bench/contestant.hpp"
#include "bench/machine.hpp"

namespace bulkhead::bench {

// How long one round of one contestant shall take, and how many round trips at most.
struct Effort {
  double round_ns;
  std::uint64_t round_trips_max;
  std::uint64_t samples_max;
};
inline constexpr Effort thorough{50e6, 200'000, 100'000};
inline constexpr Effort quick{8e6, 40'000, 10'000};

inline constexpr int race_rounds = 15;
inline constexpr int trial_rounds = 2;  // they tell how many round trips fit into the time of one

// The number of round trips follows the last round, so that a round keeps its time also where others use
// the processors.
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
    count_ = std::clamp<std::uint64_t>(fitting, 4, effort_.round_trips_max);
    return {};
  }
  void forget_rounds() noexcept {
    means_.clear();
    cpu_.clear();
    calls_.clear();
  }
  // Medians of the rounds.
  double mean_ns() const { return median(means_); }
  double cpu_percent() const { return median(cpu_); }
  double syscalls_per_message() const { return median(calls_); }
  std::uint64_t samples() const noexcept { return std::min(count_ * 5, effort_.samples_max); }

 private:
  static double median(std::vector<double> values) { return percentile(values, 0.5); }

  Contestant& contestant_;
  const Effort& effort_;
  std::uint64_t count_ = 8;
  std::vector<double> means_, cpu_, calls_;
};

// Trial rounds, then those that count, everybody once a round.
inline Result<void> race(std::vector<Entrant>& entrants) {
  for (int round = -trial_rounds; round < race_rounds; ++round) {
    for (Entrant& entrant : entrants) {
      if (auto ran = entrant.run_round(); !ran) return ran.error();
    }
    if (round >= 0) continue;
    for (Entrant& entrant : entrants) entrant.forget_rounds();
  }
  return {};
}

}  // namespace bulkhead::bench
