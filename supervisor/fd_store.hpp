// Descriptors that programs gave away to have them back after their death (FDSTORE=1 of sd_notify(3)): by instance, in
// the keeper's store. Used by NotifyDesk, and by the brain for a start; does not know what the descriptors are.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "supervisor/core_plan.hpp"
#include "supervisor/keeper_client.hpp"
#include "supervisor/plain_start.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. After a crash of the brain: the keeper has them, and the constructor takes them over.
class FdStore {
 public:
  static constexpr std::size_t per_instance_max = 32;

  // `pairs` counts with the instances: all workers together may store a quarter of what those leave.
  FdStore(const SystemConfig&, const Plan&, std::size_t pairs, KeeperClient&);

  // Of one file that is stored already nothing more is kept: a message may be carried out twice. `polled`: let go of
  // once its peer has hung up. Errors: out_of_budget, naming the limit.
  Result<void> keep(Slot, base::UniqueFd, const std::string& name, bool polled);
  void drop(Slot, const std::string& name);
  void drop_all(Slot);

  // For a start: in the order in which they came, without those whose peer has hung up.
  std::vector<StoredDescriptor> of(Slot);
  std::size_t count(Slot) const;

 private:
  struct Entry {
    Slot owner;
    std::string name;
    bool polled;
    base::UniqueFd fd;
  };

  std::size_t room(Slot) const;
  std::string tag(std::uint64_t number, const Entry&) const;
  template <class Predicate>
  void drop_if(Predicate&&);

  const SystemConfig& config_;
  const Plan& plan_;
  KeeperClient& keeper_;
  std::uint64_t all_max_;
  std::map<std::uint64_t, Entry> entries_;  // by number, which grows
};

}  // namespace bulkhead::supervisor
