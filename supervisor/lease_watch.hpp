// Watches how long workers hold the tasks of queues with a `lease_timeout`: keeps the page of each pair, and
// finds out who has to die. Used by the introducer and the brain's timer; knows no message.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "ipc/lease_page.hpp"
#include "supervisor/core_types.hpp"
#include "supervisor/keeper_client.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. After a crash of the brain: the successor finds the pages in the keeper's store,
// with every verdict in them (ipc/lease_page.hpp, (C2)).
class LeaseWatch {
 public:
  explicit LeaseWatch(KeeperClient& keeper) noexcept : keeper_(keeper) {}

  // Makes the page of a pair, unless it is there. Errors: what the system reports; no room in the keeper.
  Result<void> ensure(const std::string& pair);
  // A new incarnation opens the pair. The page to send along, borrowed. Errors: those of making it.
  Result<int> open(const std::string& pair, Slot, Generation, TimeNs timeout);
  // One that lived through a change of the brain.
  Result<void> resume(const std::string& pair, Slot, Generation, TimeNs timeout);
  // It is dead: its lease must not be taken for its successor's, by no later brain either.
  void forget(const std::string& pair);

  struct Overdue {
    Slot slot;
    Generation generation;
  };
  std::vector<Overdue> look(TimeNs now);  // each incarnation once
  TimeNs next_look(TimeNs now) const noexcept;

 private:
  struct Watched {
    base::UniqueFd fd;
    base::MappedRegion region;
    Slot slot = 0;
    Generation generation = 0;
    TimeNs timeout = 0;
    bool living = false;  // and not reported
  };
  Result<Watched*> page_of(const std::string& pair);
  static ipc::LeasePage& page(const Watched& watched) noexcept {
    return *reinterpret_cast<ipc::LeasePage*>(watched.region.data());
  }

  KeeperClient& keeper_;
  std::map<std::string, Watched> watched_;  // by pair
};

}  // namespace bulkhead::supervisor
