#include "workers/builtin/latency.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bulkhead::workers {
namespace {

constexpr unsigned octave_bits = 3;  // log2 of the buckets of an octave

// Values below 8 have a bucket each; above, the three bits after the leading one choose.
std::size_t bucket_of(std::uint64_t value) noexcept {
  if (value < (1U << octave_bits)) return value;
  const auto octave = static_cast<unsigned>(std::bit_width(value)) - 1;
  const auto within = (value >> (octave - octave_bits)) & ((1U << octave_bits) - 1);
  return ((octave - octave_bits + 1) << octave_bits) + within;
}

std::uint64_t upper_end_of(std::size_t bucket) noexcept {
  if (bucket < (1U << octave_bits)) return bucket;
  const auto shift = static_cast<unsigned>(bucket >> octave_bits) - 1;
  const auto within = bucket & ((1U << octave_bits) - 1);
  return ((within + (1U << octave_bits) + 1) << shift) - 1;
}

}  // namespace

void LatencyCount::add(std::chrono::nanoseconds latency) noexcept {
  const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
  ++buckets_[bucket_of(value)];
  ++count_;
}

std::chrono::nanoseconds LatencyCount::percentile(double share) const noexcept {
  if (count_ == 0) return std::chrono::nanoseconds(0);
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    seen += buckets_[bucket];
    if (seen >= wanted) {
      return std::chrono::nanoseconds(static_cast<std::int64_t>(upper_end_of(bucket)));
    }
  }
  return std::chrono::nanoseconds(0);
}

}  // namespace bulkhead::workers
