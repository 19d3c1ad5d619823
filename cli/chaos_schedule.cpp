#include "cli/chaos_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

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

struct Share {
  FaultKind kind;
  double up_to;
  FaultKind otherwise;  // of a target that it cannot be made to
};
// Half of all faults are kills.
constexpr Share shares[] = {
    {FaultKind::kill, 0.50, FaultKind::kill}, {FaultKind::stop, 0.65, FaultKind::stop},
    {FaultKind::slow, 0.75, FaultKind::slow}, {FaultKind::hang, 0.81, FaultKind::slow},
    {FaultKind::leak, 0.87, FaultKind::stop}, {FaultKind::oom, 0.93, FaultKind::stop},
    {FaultKind::drop, 1.00, FaultKind::stop}};

FaultKind choose(Random& random, const FaultTarget& target) noexcept {
  const double drawn = random.share();
  const auto* const share =
      std::find_if(std::begin(shares), std::end(shares) - 1,
                   [&](const Share& candidate) { return drawn < candidate.up_to; });
  return takes(target, share->kind) ? share->kind : share->otherwise;
}

}  // namespace

bool takes(const FaultTarget& target, FaultKind kind) noexcept {
  switch (kind) {
    case FaultKind::hang: return target.is_watched;
    case FaultKind::leak:
    case FaultKind::oom: return target.has_runtime;
    case FaultKind::drop: return target.has_links;
    default: return true;
  }
}

std::string_view to_string(FaultKind kind) noexcept {
  switch (kind) {
    case FaultKind::kill: return "kill";
    case FaultKind::stop: return "stop";
    case FaultKind::slow: return "slow";
    case FaultKind::hang: return "hang";
    case FaultKind::leak: return "leak";
    case FaultKind::drop: return "drop";
    case FaultKind::oom: return "oom";
  }
  return "?";
}

std::optional<FaultKind> fault_kind(std::string_view name) noexcept {
  for (const auto kind : fault_kinds) {
    if (to_string(kind) == name) return kind;
  }
  return std::nullopt;
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
    const FaultKind drawn = choose(random, targets[target]);
    const FaultKind kind = plan.only.value_or(drawn);
    const auto length = stop_shortest + (stop_longest - stop_shortest) * random.share();
    faults.push_back({when, target, kind,
                      std::chrono::duration_cast<std::chrono::nanoseconds>(length),
                      random.share()});
  }
}

}  // namespace bulkhead::cli
