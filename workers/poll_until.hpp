// poll(2) up to a Deadline. Used wherever the runtime sleeps.
#pragma once

#include <poll.h>
#include <bulkhead/deadline.hpp>

#include <span>

namespace bulkhead::workers {

// May come back early, for a signal or for nothing: the caller looks again at what it waits for.
void poll_until(std::span<pollfd>, Deadline) noexcept;

}  // namespace bulkhead::workers
