#include "supervisor/contained_start.hpp"

#include <csignal>

#include "base/child_process.hpp"
#include "base/pid_namespace.hpp"

namespace bulkhead::supervisor {

Result<ContainedStart> ContainedStart::begin(const base::SpawnPlan& of_worker,
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
  ContainedStart start(std::move(*first));
  auto file = base::open_pid_namespace(start.first_);
  if (!file) return file.error();
  start.file_ = std::move(*file);
  return start;
}

ContainedStart::~ContainedStart() {
  if (first_.pidfd.is_open()) (void)base::send_signal(first_.pidfd.get(), SIGKILL);
}

}  // namespace bulkhead::supervisor
