// The words in which the supervision core counts: slots, incarnations, groups and time. Used by all parts of
// the core; knows nothing of what they are used for.
#pragma once

#include <chrono>
#include <cstdint>

namespace bulkhead::supervisor {

using Slot = std::uint32_t;  // index of an instance: position in Plan::instances
inline constexpr Slot no_slot = ~Slot{0};
using Generation = std::uint32_t;  // incarnation of an instance, from 1
using TimeNs = std::uint64_t;      // CLOCK_MONOTONIC
inline TimeNs nanoseconds(std::chrono::nanoseconds duration) noexcept {
  return static_cast<TimeNs>(duration.count());
}
inline constexpr TimeNs time_never = ~TimeNs{0};
using GroupIndex = std::uint16_t;  // position in Plan::groups
inline constexpr GroupIndex no_group = 0xffff;

}  // namespace bulkhead::supervisor
