// Where workers of the runtime leave their crash reports: one page per instance, which the keeper holds, so that
// neither the death of the worker nor that of the brain takes it away. Used by the brain.
#pragma once

#include <bulkhead/error.hpp>
#include <optional>
#include <vector>

#include "base/fd.hpp"
#include "ipc/crash_page.hpp"
#include "supervisor/core.hpp"
#include "supervisor/keeper_client.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. After a crash of the brain: the successor finds the pages with the keeper.
class CrashPages {
 public:
  CrashPages(const Plan&, KeeperClient&);

  // For an incarnation to write into; made at the first call. Borrowed.
  Result<int> page(Slot);
  // What the incarnation says it died of. Call it after the death and before the next incarnation begins.
  std::optional<ipc::CrashPage> read(Slot, Generation) const;

 private:
  const Plan& plan_;
  KeeperClient& keeper_;
  std::vector<base::UniqueFd> pages_;  // by slot
};

}  // namespace bulkhead::supervisor
