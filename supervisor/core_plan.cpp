// From a validated config to what the core needs of it.
#include "supervisor/core_plan.hpp"

#include <algorithm>
#include <map>
#include <thread>

namespace bulkhead::supervisor {
namespace {

void add_instances(Plan& plan, const WorkerConfig& config, std::uint32_t worker_index) {
  const std::uint32_t end = config.first_instance + config.instances;
  for (std::uint32_t index = config.first_instance; index < end; ++index) {
    plan.instances.push_back(InstancePlan{.name = config.name + "." + std::to_string(index),
                                          .worker = config.name,
                                          .index = index,
                                          .worker_index = worker_index,
                                          .kind = config.kind,
                                          .every = config.every,
                                          .significant = config.significant,
                                          .ready = config.ready.type,
                                          .ready_timeout = config.ready.timeout,
                                          .restart = config.restart,
                                          .stop = config.stop});
  }
}

// A spare is ready when the runtime in it says so, whatever its worker waits for. It gives up nothing and
// ends nothing: over its limit it is tried again and again.
void add_spares(Plan& plan, const WorkerConfig& config, std::uint32_t worker_index) {
  WorkerPlan& worker = plan.workers[worker_index];
  worker.first_spare = static_cast<Slot>(plan.instances.size());
  worker.spares = config.warm_spares;
  plan.spares += config.warm_spares;
  for (std::uint32_t index = 0; index < config.warm_spares; ++index) {
    plan.instances.push_back(InstancePlan{.name = spare_name(config.name, index),
                                          .worker = config.name + "+spare",
                                          .index = index,
                                          .worker_index = worker_index,
                                          .is_spare = true,
                                          .ready = ReadyType::notify,
                                          .ready_timeout = config.ready.timeout,
                                          .restart = config.restart,
                                          .stop = config.stop});
  }
}

// The workers of a group, through the groups in it; the config has been found free of cycles.
void add_members(Plan& plan, const SystemConfig& config, GroupIndex own, GroupIndex into,
                 const std::map<std::string, std::uint32_t>& position) {
  for (const std::string& name : config.groups[own].members) {
    if (const auto worker = position.find(name); worker != position.end()) {
      plan.groups[into].workers.push_back(worker->second);
      if (own == into) plan.workers[worker->second].group = own;
      continue;
    }
    const auto group =
        std::find_if(config.groups.begin(), config.groups.end(),
                     [&name](const GroupConfig& other) { return other.name == name; });
    BULKHEAD_ASSERT(group != config.groups.end());  // parse_config refuses unknown members
    const auto index = static_cast<GroupIndex>(group - config.groups.begin());
    if (own == into) plan.groups[index].parent = own;
    add_members(plan, config, index, into, position);
  }
}

void add_groups(Plan& plan, const SystemConfig& config,
                const std::map<std::string, std::uint32_t>& position) {
  for (const GroupConfig& group : config.groups) {
    plan.groups.push_back(GroupPlan{.name = group.name,
                                    .strategy = group.strategy,
                                    .limit = group.limit,
                                    .parent = no_group,
                                    .workers = {}});
  }
  for (GroupIndex group = 0; group < plan.groups.size(); ++group) {
    add_members(plan, config, group, group, position);
  }
}

}  // namespace

std::string spare_name(const std::string& worker, std::uint32_t index) {
  return worker + "+spare." + std::to_string(index);
}

Plan make_plan(const SystemConfig& config) {
  Plan plan;
  std::map<std::string, std::uint32_t> position;
  for (const WorkerConfig& worker : config.workers) {
    const auto index = static_cast<std::uint32_t>(plan.workers.size());
    if (!worker.leaving) position[worker.name] = index;
    plan.workers.push_back(WorkerPlan{.name = worker.name,
                                      .first = static_cast<Slot>(plan.instances.size()),
                                      .count = worker.instances,
                                      .first_spare = 0,
                                      .spares = 0,
                                      .leaving = worker.leaving,
                                      .needs = {},
                                      .needed_by = {},
                                      .group = no_group});
    add_instances(plan, worker, index);
  }
  for (std::uint32_t index = 0; index < config.workers.size(); ++index) {
    add_spares(plan, config.workers[index], index);
  }
  for (const WorkerConfig& worker : config.workers) {
    if (worker.leaving) continue;
    const std::uint32_t own = position.at(worker.name);
    for (const auto& [name, level] : worker.depends_on) {
      const auto found = position.find(name);
      BULKHEAD_ASSERT(found != position.end());  // parse_config refuses unknown workers
      plan.workers[own].needs.emplace_back(found->second, level);
      plan.workers[found->second].needed_by.push_back(own);
    }
  }
  add_groups(plan, config, position);
  plan.max_parallel_starts = config.max_parallel_starts != 0
                                 ? config.max_parallel_starts
                                 : 2 * std::max(std::thread::hardware_concurrency(), 1U);
  return plan;
}

}  // namespace bulkhead::supervisor
