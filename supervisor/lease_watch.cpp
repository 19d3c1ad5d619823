#include "supervisor/lease_watch.hpp"

#include <algorithm>
#include <utility>

namespace bulkhead::supervisor {

Result<LeaseWatch::Watched*> LeaseWatch::page_of(const std::string& pair) {
  if (const auto found = watched_.find(pair); found != watched_.end()) return &found->second;
  const std::string tag = "lease/" + pair;
  const auto kept = keeper_.find(tag);
  auto fd = kept ? base::duplicate(*kept) : ipc::make_lease_page(pair);
  if (!fd) return fd.error();
  auto region = ipc::map_lease_page(fd->get());
  if (!region) return region.error();
  // Before anybody gets it: a verdict must not die with the brain that gave it.
  if (!kept) {
    if (const auto stored = keeper_.put(tag, fd->get()); !stored) return stored.error();
  }
  Watched& watched = watched_[pair];
  watched.fd = std::move(*fd);
  watched.region = std::move(*region);
  return &watched;
}

Result<void> LeaseWatch::ensure(const std::string& pair) {
  const auto found = page_of(pair);
  if (!found) return found.error();
  return {};
}

Result<int> LeaseWatch::open(const std::string& pair, Slot slot, Generation generation,
                             TimeNs timeout) {
  const auto found = page_of(pair);
  if (!found) return found.error();
  ipc::forget_lease(page(**found));  // its predecessor's
  (*found)->slot = slot;
  (*found)->generation = generation;
  (*found)->timeout = timeout;
  (*found)->living = true;
  return (*found)->fd.get();
}

Result<void> LeaseWatch::resume(const std::string& pair, Slot slot, Generation generation,
                                TimeNs timeout) {
  const auto found = page_of(pair);
  if (!found) return found.error();
  (*found)->slot = slot;
  (*found)->generation = generation;
  (*found)->timeout = timeout;
  (*found)->living = true;
  return {};
}

void LeaseWatch::forget(const std::string& pair) {
  if (!watched_.contains(pair) && !keeper_.find("lease/" + pair)) return;
  const auto found = page_of(pair);
  if (!found) return;
  ipc::forget_lease(page(**found));
  (*found)->living = false;
}

std::vector<LeaseWatch::Overdue> LeaseWatch::look(TimeNs now) {
  std::vector<Overdue> overdue;
  for (auto& [pair, watched] : watched_) {
    if (!watched.living || !ipc::is_overdue(page(watched), watched.timeout, now)) continue;
    watched.living = false;
    overdue.push_back({watched.slot, watched.generation});
  }
  return overdue;
}

TimeNs LeaseWatch::next_look(TimeNs now) const noexcept {
  TimeNs next = time_never;
  for (const auto& [pair, watched] : watched_) {
    if (watched.living) next = std::min(next, ipc::due_at(page(watched), watched.timeout, now));
  }
  return next;
}

}  // namespace bulkhead::supervisor
