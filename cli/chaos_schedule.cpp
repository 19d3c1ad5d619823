#include "cli/chaos_schedule.hpp"

#include <cmath>

namespace bulkhead::cli {
namespace {

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators). The standard library's
// distributions give other numbers with another library.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // [0, 1)
  double share() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }
  std::size_t below(std::size_t end) noexcept {
    return static_cast<std::size_t>(share() * static_cast<double>(end));
  }

 private:
  std::uint64_t state_;
};

constexpr std::chrono::milliseconds stop_shortest{20}, stop_longest{500};

// Half of all faults are kills.
FaultKind choose(Random& random, bool is_watched) noexcept {
  const double share = random.share();
  if (share < 0.5) return FaultKind::kill;
  if (share < 0.75) return FaultKind::stop;
  return share < 0.9 || !is_watched ? FaultKind::slow : FaultKind::hang;
}

}  // namespace

std::string_view to_string(FaultKind kind) noexcept {
  switch (kind) {
    case FaultKind::kill: return "kill";
    case FaultKind::stop: return "stop";
    case FaultKind::slow: return "slow";
    case FaultKind::hang: return "hang";
  }
  return "?";
}

std::vector<Fault> make_schedule(const ChaosPlan& plan, const std::vector<FaultTarget>& targets) {
  std::vector<Fault> faults;
  if (targets.empty()) return faults;
  Random random(plan.seed);
  using Seconds = std::chrono::duration<double>;
  Seconds at{0};
  for (;;) {
    at += Seconds(-std::log(1 - random.share()) / plan.rate);  // as independent accidents come
    const auto when = std::chrono::duration_cast<std::chrono::nanoseconds>(at);
    if (at >= Seconds(plan.duration)) return faults;
    const std::size_t target = random.below(targets.size());
    const FaultKind kind = choose(random, targets[target].is_watched);
    const auto length = stop_shortest + (stop_longest - stop_shortest) * random.share();
    faults.push_back(
        {when, target, kind, std::chrono::duration_cast<std::chrono::nanoseconds>(length)});
  }
}

}  // namespace bulkhead::cli
