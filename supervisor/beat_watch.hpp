// Watches the beats of the workers that have a watchdog: overdue means no beat for longer than the timeout while it was
// busy, or stopped by somebody in its sleep. Reads pages that workers write, once each, and believes nothing else of them.
#pragma once

#include <bulkhead/error.hpp>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/fd.hpp"
#include "supervisor/core_types.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. After a crash of the brain: the successor maps the pages again out of
// the keeper's store and gives every worker a full timeout.
class BeatWatch {
 public:
  // One that sleeps in a call of the runtime does not beat; `is_stopped` says whether it could wake up. Asked at most
  // once a timeout for each.
  explicit BeatWatch(std::function<bool(Slot)> is_stopped) : is_stopped_(std::move(is_stopped)) {}
  BeatWatch(const BeatWatch&) = delete;
  BeatWatch& operator=(const BeatWatch&) = delete;
  ~BeatWatch();

  // `page` is borrowed for the call. Errors: protocol_violation for a page that is too small.
  Result<void> watch(Slot, Generation, int page, TimeNs timeout, TimeNs now);
  // The same for one that lived through a change of the brain, by a page that may be a predecessor's: then it has
  // not said hello yet, and is not watched. Errors: as watch.
  Result<void> watch_again(Slot, Generation, int page, TimeNs timeout, TimeNs now);
  void forget(Slot) noexcept;

  struct Overdue {
    Slot slot;
    Generation generation;
  };
  // Looks at all; each incarnation is reported once. When the
  // last look is longer ago than a timeout, the supervisor was the one that slept, and everybody
  // gets a fresh one.
  std::vector<Overdue> look(TimeNs now);
  // Whether it has not beaten since it was reported, and could have.
  bool is_silent(Slot, Generation) const;
  // It is not to blame for its silence: it gets a whole timeout again.
  void give_time(Slot, TimeNs now) noexcept;
  TimeNs next_look() const noexcept;  // time_never when nobody is watched

 private:
  struct Watched {
    Generation generation;
    const void* page;
    TimeNs timeout, changed_at;
    std::uint64_t beat;
    TimeNs asked_at;           // whether it is stopped
    bool was_stopped = false;  // then

    bool has_beaten() const noexcept;
    bool is_busy() const noexcept;
  };
  bool seems_silent(Slot, Watched&, TimeNs now);

  std::function<bool(Slot)> is_stopped_;
  std::map<Slot, Watched> watched_;
  TimeNs looked_at_ = 0;
};

}  // namespace bulkhead::supervisor
