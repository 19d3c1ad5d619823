#include "supervisor/notify_watch.hpp"

#include <algorithm>

namespace bulkhead::supervisor {

void NotifyWatch::begin(Slot slot, TimeNs timeout, TimeNs now) {
  if (timeout == time_never) return forget(slot);
  watched_[slot] = {timeout, now};
}

void NotifyWatch::heard(Slot slot, TimeNs now) {
  if (const auto found = watched_.find(slot); found != watched_.end()) found->second.heard_at = now;
}

std::vector<Slot> NotifyWatch::due(TimeNs now) const {
  std::vector<Slot> slots;
  for (const auto& [slot, watched] : watched_) {
    if (now >= watched.heard_at + watched.timeout) slots.push_back(slot);
  }
  return slots;
}

bool NotifyWatch::is_overdue(Slot slot, TimeNs now) {
  const auto found = watched_.find(slot);
  if (found == watched_.end()) return false;
  Watched& watched = found->second;
  const TimeNs due_at = watched.heard_at + watched.timeout;
  if (now < due_at) return false;
  if (now - due_at > watched.timeout / 2) {
    watched.heard_at = now;
    return false;
  }
  watched_.erase(found);
  return true;
}

TimeNs NotifyWatch::next_look() const noexcept {
  TimeNs next = time_never;
  for (const auto& [slot, watched] : watched_)
    next = std::min(next, watched.heard_at + watched.timeout);
  return next;
}

}  // namespace bulkhead::supervisor
