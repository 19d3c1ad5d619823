// The watchdog of programs that send WATCHDOG=1: who has been silent for too long. Times come from outside. Used by
// PlainDesk; knows no socket.
#pragma once

#include <map>
#include <vector>

#include "supervisor/core_types.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. After a crash of the brain: begin() anew gives everybody a full timeout.
class NotifyWatch {
 public:
  void begin(Slot, TimeNs timeout, TimeNs now);  // time_never: not watched
  void heard(Slot, TimeNs now);
  void forget(Slot slot) { watched_.erase(slot); }

  // Those whose time is over, for the caller to look whether their word has come and lies unread.
  std::vector<Slot> due(TimeNs now) const;
  // Of one that was due and is still silent. False when we look so late that we slept ourselves: a fresh timeout
  // then. After true it is not watched any more.
  bool is_overdue(Slot, TimeNs now);
  TimeNs next_look() const noexcept;  // time_never when nobody is watched

 private:
  struct Watched {
    TimeNs timeout, heard_at;
  };
  std::map<Slot, Watched> watched_;
};

}  // namespace bulkhead::supervisor
