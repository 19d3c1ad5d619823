// The one clock: CLOCK_MONOTONIC in nanoseconds, the same for every process of the machine.
#pragma once

#include <chrono>
#include <cstdint>

namespace bulkhead::base {

inline std::uint64_t monotonic_ns() noexcept {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}

}  // namespace bulkhead::base
