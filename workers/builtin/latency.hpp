// Percentiles of latencies in constant memory. Used by the client worker.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace bulkhead::workers {

// Counts in buckets that are an eighth of a power of two wide, so a percentile is off by at most 12.5 %
// upwards.
class LatencyCount {
 public:
  void add(std::chrono::nanoseconds latency) noexcept;
  // The latency that `share` (0 to 1) of all stay below or at; zero when there are none.
  std::chrono::nanoseconds percentile(double share) const noexcept;
  std::uint64_t count() const noexcept { return count_; }

 private:
  static constexpr std::size_t per_octave = 8;
  std::array<std::uint64_t, 64 * per_octave> buckets_{};
  std::uint64_t count_ = 0;
};

}  // namespace bulkhead::workers
