#include "workers/poll_until.hpp"

#include <chrono>
#include <ctime>

namespace bulkhead::workers {

void poll_until(std::span<pollfd> fds, Deadline deadline) noexcept {
  timespec left = {};
  if (!deadline.is_never()) {
    const auto remaining = std::chrono::nanoseconds(deadline.remaining());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(remaining);
    left.tv_sec = static_cast<time_t>(seconds.count());
    left.tv_nsec = static_cast<long>((remaining - seconds).count());
  }
  ::ppoll(fds.data(), fds.size(), deadline.is_never() ? nullptr : &left, nullptr);
}

}  // namespace bulkhead::workers
