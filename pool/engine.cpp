#include "pool/engine.hpp"

#include <algorithm>
#include <chrono>
#include <string>

namespace bulkhead::pool {

Result<void> drain_until_empty(std::unique_lock<std::mutex>& lock, std::condition_variable& emptied,
                               Deadline deadline, const std::function<std::size_t()>& pending) {
  // Also where nothing ends the wait: what is submitted meanwhile may be looked for by nobody else.
  constexpr auto slice = std::chrono::milliseconds(50);
  while (pending() != 0) {
    if (deadline.stopped()) return make_error(Errc::stopped, "drain a pool");
    if (deadline.expired()) {
      return make_error(Errc::timed_out, std::to_string(pending()) + " tasks are not done");
    }
    emptied.wait_until(lock, std::min(deadline.when(), Deadline::clock::now() + slice));
  }
  return {};
}

}  // namespace bulkhead::pool
