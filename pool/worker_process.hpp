// The life of a pool's worker: takes orders from its owner over a channel, runs them, reports. Entered from the zygote by
// fork or exec; ends by order, or with the zygote.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::pool {

// `fds`: as WorkerFd says. `memory_max`: bytes of address space, 0: no limit.
[[noreturn]] void live_as_worker(std::vector<base::UniqueFd> fds, std::uint64_t memory_max);

bool is_in_worker() noexcept;
// In a worker: whether its task should end. False elsewhere.
bool stop_is_requested() noexcept;

}  // namespace bulkhead::pool
