// The restart limit's memory: a ring of the latest failures.
#include "supervisor/restart_window.hpp"

#include <algorithm>

namespace bulkhead::supervisor {

bool RestartWindow::admits(const RestartLimit& limit, TimeNs now) const noexcept {
  const std::uint32_t count = std::min(limit.count, restart_history_max);
  if (count == 0) return false;
  if (size_ < count) return true;
  const TimeNs oldest = failures_[(next_ + restart_history_max - count) % restart_history_max];
  return now - oldest >= static_cast<TimeNs>(limit.within.count());
}

void RestartWindow::record(TimeNs failure) noexcept {
  failures_[next_] = failure;
  next_ = (next_ + 1) % restart_history_max;
  size_ = std::min(size_ + 1, restart_history_max);
}

std::uint32_t RestartWindow::failures_since(TimeNs since) const noexcept {
  std::uint32_t found = 0;
  for (std::uint32_t back = 1; back <= size_; ++back) {
    if (failures_[(next_ + restart_history_max - back) % restart_history_max] < since) break;
    ++found;
  }
  return found;
}

}  // namespace bulkhead::supervisor
