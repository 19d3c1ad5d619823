// Puts another config in force: what would happen (`plan`), and the one store after which it has (`reload`,
// `scale`). The brain that made that store ends, and its successor begins with the new config. Used by the control
// API and the brain; carries nothing out itself: Rollout does (docs/design/reload.md).
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/config_diff.hpp"
#include "supervisor/core.hpp"
#include "supervisor/keeper_client.hpp"
#include "supervisor/running_config.hpp"
#include "supervisor/state_region.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. Killed at any instruction: what the keeper's store holds is in force.
class ConfigDesk {
 public:
  struct Parts {
    const std::string& program_directory;
    const SystemConfig& config;  // in force, with who is leaving
    const Plan& plan;
    KeeperClient& keeper;
    StateRegion& state;
    std::function<const InstanceState&(Slot)> instance;
    std::function<Result<void>(const std::vector<SocketConfig>&)> open_sockets;
    // How many workers the journal of a queue knows; nullopt where there is none.
    std::function<std::optional<std::uint32_t>(const std::string& link)> queue_room;
  };
  ConfigDesk(RunningConfig, Parts);

  const RunningConfig& running() const noexcept { return running_; }
  // Somebody of the last version is on its way out: no other may be put in force until it is gone.
  bool is_leaving() const noexcept { return running_.before.has_value(); }

  // Errors of all below: bad_config; out_of_budget for what descriptors, places or a queue's journal
  // have no room for. Nothing has changed then.
  Result<nlohmann::json> plan(const ConfigVersion&) const;
  // True: it is in force from now on, and the next brain's to carry out, so this one has to end. False:
  // nothing but the text differs.
  Result<bool> reload(const ConfigVersion&, std::uint64_t operation);
  // Also not_found for an unknown worker.
  Result<bool> scale(const std::string& worker, std::uint32_t instances, std::uint64_t operation);

  // Notes for a successor that these are to be replaced one by one.
  Result<void> note_rolling(const std::vector<Slot>&);
  // Forgets who has left. True: as reload().
  Result<bool> forget_leavers();

 private:
  SystemConfig in_force() const;
  Result<ConfigDiff> compare(const ConfigVersion&, SystemConfig& wanted) const;
  Result<void> check_room(const SystemConfig& wanted, const ConfigDiff&) const;
  Result<RunningConfig> next_version(const ConfigVersion&, const SystemConfig& wanted,
                                     const ConfigDiff&) const;
  void plan_replacements(const ConfigDiff&, RunningConfig& next) const;
  Seats seats() const;
  Result<void> store(RunningConfig);

  RunningConfig running_;
  Parts parts_;
};

}  // namespace bulkhead::supervisor
