// The number of an incarnation of one side of a link. Used by endpoints, which order what they hear of
// their peers, and by the brain, which hands the numbers out.
//
// 16 bits, because a cursor keeps one beside its position in one word. They go round: two epochs are
// compared as serial numbers (RFC 1982), which is right while the living ones are within 32 767 of
// each other; at most five are kept. 0 is nobody's.
#pragma once

#include <cstdint>

namespace bulkhead::ipc {

constexpr bool is_newer(std::uint16_t epoch, std::uint16_t than) noexcept {
  if (epoch == 0 || than == 0) return epoch != 0;
  return static_cast<std::int16_t>(static_cast<std::uint16_t>(epoch - than)) > 0;
}

constexpr std::uint16_t next_epoch(std::uint16_t epoch) noexcept {
  return epoch == 0xFFFF ? std::uint16_t{1} : static_cast<std::uint16_t>(epoch + 1);
}

static_assert(is_newer(next_epoch(0), 0) && is_newer(next_epoch(0xFFFF), 0xFFFF));

}  // namespace bulkhead::ipc
