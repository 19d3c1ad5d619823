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
                                          .ready = config.ready.type,
                                          .ready_timeout = config.ready.timeout,
                                          .restart = config.restart,
                                          .stop = config.stop});
  }
}

}  // namespace

Plan make_plan(const SystemConfig& config) {
  Plan plan;
  std::map<std::string, std::uint32_t> position;
  for (const WorkerConfig& worker : config.workers) {
    const auto index = static_cast<std::uint32_t>(plan.workers.size());
    if (!worker.leaving) position[worker.name] = index;
    plan.workers.push_back(WorkerPlan{.name = worker.name,
                                      .first = static_cast<Slot>(plan.instances.size()),
                                      .count = worker.instances,
                                      .leaving = worker.leaving,
                                      .needs = {},
                                      .needed_by = {}});
    add_instances(plan, worker, index);
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
  plan.max_parallel_starts = config.max_parallel_starts != 0
                                 ? config.max_parallel_starts
                                 : 2 * std::max(std::thread::hardware_concurrency(), 1U);
  return plan;
}

}  // namespace bulkhead::supervisor
