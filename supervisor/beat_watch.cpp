// relaxed: all loads here; a beat is a counter that carries no other data with it.
#include "supervisor/beat_watch.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "ipc/worker_pages.hpp"

namespace bulkhead::supervisor {

BeatWatch::~BeatWatch() {
  while (!watched_.empty()) forget(watched_.begin()->first);
}

Result<void> BeatWatch::watch(Slot slot, Generation generation, int page, TimeNs timeout,
                              TimeNs now) {
  forget(slot);
  struct stat status {};
  if (::fstat(page, &status) != 0) return errno_error(errno, "look at a beat page");
  if (status.st_size < static_cast<off_t>(ipc::worker_page_bytes)) {
    return make_error(Errc::protocol_violation,
                      "a beat page of " + std::to_string(status.st_size) + " bytes");
  }
  // Else its writer could cut the file, and our read would be a SIGBUS.
  if (const int seals = ::fcntl(page, F_GET_SEALS); seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return make_error(Errc::protocol_violation, "a beat page without F_SEAL_SHRINK");
  }
  void* address = ::mmap(nullptr, ipc::worker_page_bytes, PROT_READ, MAP_SHARED, page, 0);
  if (address == MAP_FAILED) return errno_error(errno, "map a beat page");
  watched_[slot] = {generation, address, timeout, now, 0, now};
  return {};
}

Result<void> BeatWatch::watch_again(Slot slot, Generation generation, int page, TimeNs timeout,
                                    TimeNs now) {
  if (auto watched = watch(slot, generation, page, timeout, now); !watched) return watched;
  const auto& shown = *static_cast<const ipc::BeatPage*>(watched_[slot].page);
  // relaxed: stored before the keeper was given the page.
  if (shown.generation.load(std::memory_order_relaxed) != generation) forget(slot);
  return {};
}

void BeatWatch::forget(Slot slot) noexcept {
  const auto found = watched_.find(slot);
  if (found == watched_.end()) return;
  ::munmap(const_cast<void*>(found->second.page), ipc::worker_page_bytes);
  watched_.erase(found);
}

bool BeatWatch::Watched::has_beaten() const noexcept {
  const auto& shown = *static_cast<const ipc::BeatPage*>(page);
  return shown.beat.load(std::memory_order_relaxed) != beat;  // relaxed: a counter alone
}

bool BeatWatch::Watched::is_busy() const noexcept {
  const auto& shown = *static_cast<const ipc::BeatPage*>(page);
  return shown.phase.load(std::memory_order_relaxed) ==  // relaxed: a hint alone
         static_cast<std::uint32_t>(ipc::BeatPhase::busy);
}

bool BeatWatch::is_silent(Slot slot, Generation generation) const {
  const auto found = watched_.find(slot);
  return found != watched_.end() && found->second.generation == generation &&
         !found->second.has_beaten() && (found->second.is_busy() || is_stopped_(slot));
}

bool BeatWatch::seems_silent(Slot slot, Watched& watched, TimeNs now) {
  const bool has_beaten = watched.has_beaten();
  if (has_beaten || watched.is_busy()) {
    watched.was_stopped = false;
    return !has_beaten;
  }
  if (now - watched.asked_at >= watched.timeout) {
    watched.asked_at = now;
    watched.was_stopped = is_stopped_(slot);
  }
  return watched.was_stopped;
}

void BeatWatch::give_time(Slot slot, TimeNs now) noexcept {
  const auto found = watched_.find(slot);
  if (found != watched_.end()) found->second.changed_at = now;
}

std::vector<BeatWatch::Overdue> BeatWatch::look(TimeNs now) {
  std::vector<Overdue> overdue;
  const TimeNs since_last_look = looked_at_ == 0 ? 0 : now - looked_at_;
  looked_at_ = now;
  for (auto& [slot, watched] : watched_) {
    const bool we_were_late = since_last_look > watched.timeout;
    if (!seems_silent(slot, watched, now) || we_were_late) {
      const auto& page = *static_cast<const ipc::BeatPage*>(watched.page);
      watched.beat = page.beat.load(std::memory_order_relaxed);  // relaxed: a counter alone
      watched.changed_at = now;
    } else if (watched.changed_at != time_never && now - watched.changed_at >= watched.timeout) {
      watched.changed_at = time_never;  // reported
      overdue.push_back({slot, watched.generation});
    }
  }
  return overdue;
}

TimeNs BeatWatch::next_look() const noexcept {
  TimeNs period = time_never;
  for (const auto& [slot, watched] : watched_) period = std::min(period, watched.timeout / 4);
  return period == time_never ? time_never : looked_at_ + period;
}

}  // namespace bulkhead::supervisor
