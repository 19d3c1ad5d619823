#include "supervisor/contained_start.hpp"

#include <utility>

#include "base/pid_namespace.hpp"

namespace bulkhead::supervisor {

Result<PidNamespaceBegun> begin_pid_namespace(const base::SpawnPlan& of_worker,
                                              const std::string& program_directory) {
  base::SpawnPlan plan;
  plan.executable = program_directory + "/bulkhead-init";
  plan.argv = {plan.executable};
  plan.env = of_worker.env;
  plan.output = plan.errors = -1;
  plan.group = base::ProcessGroup::new_group;
  plan.death_signal = of_worker.death_signal;
  plan.sibling = true;
  plan.begins_pid_namespace = true;
  auto first = base::spawn(plan);
  if (!first) return first.error();
  auto file = base::open_pid_namespace(*first);
  if (!file) return file.error();
  return PidNamespaceBegun{std::move(*first), std::move(*file)};
}

}  // namespace bulkhead::supervisor
