// The teller of stories.
#include "tests/support/core_story.hpp"

namespace bulkhead::test {

using namespace supervisor;

namespace {

struct Line {
  const Plan& plan;
  std::string name(Slot slot) const { return plan.instances[slot].name; }

  std::string operator()(const Spawn& action) const {
    return "spawn " + name(action.slot) + " " + std::to_string(action.generation);
  }
  std::string operator()(const Promote& action) const {
    return "promote " + name(action.spare) + " to " + name(action.slot) + " " +
           std::to_string(action.generation);
  }
  std::string operator()(const SendStop& action) const { return "stop " + name(action.slot); }
  std::string operator()(const KillTree& action) const { return "kill " + name(action.slot); }
  std::string operator()(const SweepTree& action) const { return "sweep " + name(action.slot); }
  std::string operator()(const Announce& action) const {
    return std::string(to_string(action.type)) + " " + name(action.slot);
  }
  std::string operator()(const Finished& action) const {
    return "finished " + std::to_string(action.exit_code);
  }
};

SystemConfig system_of(std::vector<WorkerConfig> workers, std::uint32_t max_parallel_starts,
                       std::vector<GroupConfig> groups = {}) {
  SystemConfig config;
  config.workers = std::move(workers);
  config.groups = std::move(groups);
  config.max_parallel_starts = max_parallel_starts;
  return config;
}

}  // namespace

WorkerConfig worker(std::string name, std::uint32_t instances) {
  WorkerConfig config;
  config.name = std::move(name);
  config.instances = instances;
  config.ready.type = ReadyType::notify;
  config.restart.backoff.jitter = 0;
  return config;
}

std::string to_line(const Plan& plan, const Action& action) {
  return std::visit(Line{plan}, action);
}

CoreStory::CoreStory(std::vector<WorkerConfig> workers, std::uint32_t max_parallel_starts)
    : plan(make_plan(system_of(std::move(workers), max_parallel_starts))),
      state(initial_state(plan, 1)) {}

CoreStory::CoreStory(std::vector<WorkerConfig> workers, std::vector<GroupConfig> groups)
    : plan(make_plan(system_of(std::move(workers), 16, std::move(groups)))),
      state(initial_state(plan, 1)) {}

std::vector<std::string> CoreStory::sort_out(const std::vector<Action>& actions) {
  std::vector<std::string> lines;
  for (const Action& action : actions) {
    auto& list = std::holds_alternative<Announce>(action) ? announced_ : lines;
    list.push_back(to_line(plan, action));
  }
  return lines;
}

std::vector<std::string> CoreStory::tell(const Event& event) {
  return sort_out(step(plan, state, event, now));
}

std::vector<std::string> CoreStory::started(Slot slot) {
  return tell(Started{slot, at(slot).generation, next_pid_++});
}

std::vector<std::string> CoreStory::became_ready(Slot slot) {
  return tell(BecameReady{slot, at(slot).generation});
}

std::vector<std::string> CoreStory::exits(Slot slot, int code) {
  return tell(Exited{slot, at(slot).generation, ExitKind::exit, code});
}

std::vector<std::string> CoreStory::is_killed(Slot slot, int signal) {
  return tell(Exited{slot, at(slot).generation, ExitKind::signal, signal});
}

std::vector<std::string> CoreStory::pass(std::chrono::nanoseconds time) {
  const TimeNs end = now + static_cast<TimeNs>(time.count());
  std::vector<std::string> all;
  while (next_due(state) <= end) {
    now = std::max(now, next_due(state));
    for (std::string& line : tell(Tick{})) all.push_back(std::move(line));
  }
  now = end;
  return all;
}

std::vector<std::string> CoreStory::resume(const std::vector<Living>& living) {
  return sort_out(supervisor::resume(plan, state, living, now));
}

std::vector<std::string> CoreStory::brain_dies() {
  std::vector<Living> living;
  for (const InstanceState& instance : state.instances) {
    living.push_back(instance.pid != 0 ? Living{instance.generation, instance.pid} : Living{});
  }
  state.index = {};
  return resume(living);
}

void CoreStory::bring_up(Slot slot) {
  started(slot);
  if (at(slot).status == InstanceStatus::starting) became_ready(slot);
}

std::vector<std::string> CoreStory::announced() { return std::exchange(announced_, {}); }

std::chrono::nanoseconds CoreStory::until_due() const {
  return std::chrono::nanoseconds(next_due(state) - now);
}

}  // namespace bulkhead::test
