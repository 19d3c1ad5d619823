// Latencies in buckets whose width grows with the value, so that a million samples take 30 KB and a
// percentile is exact to 1.6 %. Used by the latency benchmark.
//
// Idea: the log-linear buckets of HdrHistogram.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace bulkhead::bench {

class Histogram {
 public:
  void add(std::uint64_t nanoseconds) noexcept {
    ++buckets_[bucket_of(nanoseconds)];
    ++count_;
    max_ = std::max(max_, nanoseconds);
  }
  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t max() const noexcept { return max_; }

  // The upper end of the bucket in which the sample of that rank lies; 0 without samples.
  std::uint64_t percentile(double share) const noexcept {
    const auto rank = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > rank || (seen == count_ && seen > 0)) return std::min(upper_end(i), max_);
    }
    return 0;
  }

 private:
  static constexpr unsigned fine_bits = 6;  // 64 buckets for each doubling
  static constexpr std::uint64_t fine = std::uint64_t{1} << fine_bits;
  static constexpr std::size_t doublings = 64 - fine_bits;

  static std::size_t bucket_of(std::uint64_t value) noexcept {
    if (value < fine) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - fine_bits - 1;
    return (shift + 1) * fine + (value >> shift) - fine;
  }
  static std::uint64_t upper_end(std::size_t bucket) noexcept {
    if (bucket < fine) return bucket;
    const std::size_t shift = bucket / fine - 1;
    return ((bucket % fine + fine + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (doublings + 1) * fine> buckets_{};
  std::uint64_t count_ = 0, max_ = 0;
};

}  // namespace bulkhead::bench
