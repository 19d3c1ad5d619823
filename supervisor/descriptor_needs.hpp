// How many descriptors a system needs: in the brain, which is the process with the most, and of the places in the
// keeper's store, of which there is a fixed number. Used by the check of a config and by SealedStore, which lets
// workers have some of what is left.
#pragma once

#include <algorithm>
#include <cstdint>

#include "supervisor/keeper_layout.hpp"

namespace bulkhead::supervisor {

// The keeper's store: log pipes, control socket, attention, crash page, beat; for a pair the segments of both sides, those of
// their predecessors, and a note of the connection; with a lease_timeout the lease page, for a queue its journal.
// Some are the system's own.
inline constexpr std::uint64_t places_of_system = 64, places_of_pair = 5;
inline constexpr std::uint64_t places_of_instance_most = 6,
                               places_of_pair_most = places_of_pair + 2;

// One without a watchdog has no beat. A program that does not use the runtime has log pipes, a socket for what it says, a
// note of that, and perhaps a pipe for its readiness.
constexpr std::uint64_t places_of_instance(bool runtime, bool has_watchdog) noexcept {
  return runtime && has_watchdog ? places_of_instance_most : places_of_instance_most - 1;
}

// The brain: what the store has, and a pidfd for each instance. `places`: of all instances.
inline constexpr std::uint64_t brain_descriptors_base = 64, brain_descriptors_per_pair = 5;

constexpr std::uint64_t brain_descriptors(std::uint64_t places, std::uint64_t instances,
                                          std::uint64_t pairs) noexcept {
  return brain_descriptors_base + places + instances + brain_descriptors_per_pair * pairs;
}

// What neither instances nor pairs can need, with `limit` descriptors in a process.
constexpr std::uint64_t spare_places(std::uint64_t instances, std::uint64_t pairs,
                                     std::uint64_t limit) noexcept {
  const std::uint64_t of_instances = places_of_instance_most * instances;
  const std::uint64_t descriptors = brain_descriptors(of_instances, instances, pairs);
  const std::uint64_t places = places_of_system + of_instances + places_of_pair_most * pairs;
  const auto left = [](std::uint64_t all, std::uint64_t used) {
    return all > used ? all - used : 0;
  };
  return std::min(left(limit, descriptors), left(keeper_layout::store_entries_max, places));
}

}  // namespace bulkhead::supervisor
