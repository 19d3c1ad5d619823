// The one clock: CLOCK_MONOTONIC in nanoseconds, the same for every process of the machine; and what this process has
// had of the processors.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

namespace bulkhead::base {

inline std::uint64_t monotonic_ns() noexcept {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}

// Of all its threads, while it was running: it stands still while the process is stopped.
inline std::uint64_t processor_time_ns() noexcept {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<std::uint64_t>(used.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(used.tv_nsec);
}

}  // namespace bulkhead::base
