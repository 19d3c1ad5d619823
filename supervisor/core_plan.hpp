// What the core needs of a configuration: instances with their slots, workers with their dependencies.
// Constant while a config is in force. Made by make_plan; knows nothing of what happens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/config.hpp"
#include "supervisor/core_types.hpp"

namespace bulkhead::supervisor {

// What of the config the core needs, per instance; constant while a config is in force.
struct InstancePlan {
  std::string name;    // "echo.0"
  std::string worker;  // "echo"; of a spare "echo+spare", which no worker is called
  std::uint32_t index = 0;
  std::uint32_t worker_index = 0;  // position in Plan::workers
  bool is_spare = false;           // waits to become an instance of that worker
  WorkerKind kind = WorkerKind::service;
  Duration every{};  // of a scheduled one: from start to start
  Significant significant = Significant::no;
  ReadyType ready = ReadyType::exec;
  Duration ready_timeout{};
  Restart restart;
  Stop stop;
};

// Dependencies hold between workers and mean all of their instances; a worker's instances lie side by
// side in Plan::instances.
struct WorkerPlan {
  std::string name;
  Slot first = 0;
  std::uint32_t count = 0;
  Slot first_spare = 0;
  std::uint32_t spares = 0;
  bool leaving = false;  // it is no part of the config in force any more
  std::vector<std::pair<std::uint32_t, DependsOn>> needs;  // position in Plan::workers
  std::vector<std::uint32_t> needed_by;
  GroupIndex group = no_group;  // that it is a member of
};

// Groups nest: a member is a worker, or a group with all of its workers.
struct GroupPlan {
  std::string name;
  GroupStrategy strategy = GroupStrategy::one_for_one;
  std::optional<RestartLimit> limit;
  GroupIndex parent = no_group;
  std::vector<std::uint32_t> workers;  // of all members, in their order
};

struct Plan {
  std::vector<InstancePlan> instances;  // those of the config, and then the spares of all workers
  std::vector<WorkerPlan> workers;
  std::vector<GroupPlan> groups;
  std::uint32_t max_parallel_starts = 4;
  std::uint32_t spares = 0;  // so many at the end of `instances`

  Slot first_spare() const noexcept { return static_cast<Slot>(instances.size()) - spares; }
};
// "echo+spare.0"
std::string spare_name(const std::string& worker, std::uint32_t index);
Plan make_plan(const SystemConfig&);  // of a config that parse_config has accepted

}  // namespace bulkhead::supervisor
