#include "supervisor/simulation.hpp"

#include <algorithm>
#include <csignal>
#include <utility>

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr Duration start_takes = 1ms, ready_takes = 5ms, stop_takes = 10ms, kill_takes = 1ms;

TimeNs count(Duration duration) { return static_cast<TimeNs>(duration.count()); }

}  // namespace

Simulation::Simulation(const SystemConfig& config, const Plan& plan, const Script& script,
                       std::uint64_t seed, Tell tell)
    : config_(config),
      plan_(plan),
      script_(script),
      tell_(std::move(tell)),
      state_(initial_state(plan, seed)),
      processes_(plan.instances.size()) {}

void Simulation::later(Duration from_now, std::function<void()> happens) {
  agenda_.emplace(now_ + count(from_now), std::move(happens));
}

void Simulation::run(Duration length) {
  const TimeNs end = began + count(length);
  for (const ScriptAct& act : script_.acts) {
    if (act.when == ScriptAct::When::at) strike(act, act.time);
    if (act.when == ScriptAct::When::every) strike(act, act.time);
  }
  apply(Tick{});
  while (!finished_) {
    const TimeNs happens = agenda_.empty() ? time_never : agenda_.begin()->first;
    const TimeNs next = std::min(happens, next_due(state_));
    if (next > end) break;
    now_ = std::max(now_, next);
    if (next_due(state_) <= now_) {
      apply(Tick{});
    } else {
      const auto happening = agenda_.extract(agenda_.begin());
      happening.mapped()();
    }
  }
  const bool goes_on = !agenda_.empty() || next_due(state_) != time_never;
  if (!finished_ && goes_on) now_ = end;
}

void Simulation::apply(const Event& event) {
  for (const Action& action : step(plan_, state_, event, now_)) {
    std::visit([this](const auto& what) { carry_out(what); }, action);
  }
  roll();
}

// As the brain does: one instance after the other.
void Simulation::restart(const std::vector<Slot>& slots) {
  for (const Slot slot : slots) {
    const InstanceState& instance = state_.instances[slot];
    if (instance.desired == Desired::up) rollout_.add_rolling(slot, instance.generation);
  }
  for (const Slot slot : slots) {
    if (state_.instances[slot].desired == Desired::down) apply(WantUp{slot});
  }
  roll();
}

void Simulation::roll() {
  if (is_rolling_ || rollout_.is_idle()) return;
  is_rolling_ = true;
  for (auto step = rollout_.next(plan_, state_); !step.wanted.empty();
       step = rollout_.next(plan_, state_)) {
    for (const Event& wanted : step.wanted) apply(wanted);
  }
  is_rolling_ = false;
  rollout_.forget_if_done(state_);
}

bool Simulation::is(Slot slot, Generation generation) const noexcept {
  return processes_[slot].pid != 0 && processes_[slot].generation == generation;
}

void Simulation::carry_out(const Spawn& action) {
  later(start_takes, [this, action] { born(action.slot, action.generation); });
}

// It has begun long ago, and only has to hear who it is.
void Simulation::carry_out(const Promote& action) {
  later(start_takes, [this, action] { step_in(action); });
}

void Simulation::step_in(const Promote& action) {
  if (!is(action.spare, action.spare_generation)) return born(action.slot, action.generation);
  const std::int32_t pid = std::exchange(processes_[action.spare].pid, 0);
  processes_[action.slot] = {action.generation, pid, false};
  begin(action.slot, action.generation);
  apply(Promoted{action.slot, action.generation, pid, action.spare, action.spare_generation});
}

void Simulation::born(Slot slot, Generation generation) {
  processes_[slot] = {generation, next_pid_++, false};
  begin(slot, generation);
  apply(Started{slot, generation, processes_[slot].pid});
}

// What an incarnation does by itself.
void Simulation::begin(Slot slot, Generation generation) {
  const InstancePlan& plan = plan_.instances[slot];
  if (plan.ready != ReadyType::exec) {
    later(ready_takes, [this, slot, generation] {
      if (is(slot, generation) && !processes_[slot].hangs) apply(BecameReady{slot, generation});
    });
  }
  if (plan.kind != WorkerKind::service) {
    later(script_.takes[slot], [this, slot, generation] {
      if (!processes_[slot].hangs) dies(slot, generation, ExitKind::exit, 0);
    });
  }
  for (const ScriptAct& act : script_.acts) {
    if (act.when != ScriptAct::When::after_start) continue;
    if (std::find(act.slots.begin(), act.slots.end(), slot) == act.slots.end()) continue;
    later(act.time, [this, &act, slot, generation] {
      if (is(slot, generation)) perform(act, slot);
    });
  }
}

void Simulation::dies(Slot slot, Generation generation, ExitKind kind, int code) {
  if (!is(slot, generation)) return;
  processes_[slot].pid = 0;
  apply(Exited{slot, generation, kind, code});
}

void Simulation::carry_out(const SendStop& action) {
  const Slot slot = action.slot;
  const Generation generation = processes_[slot].generation;
  const int signal = plan_.instances[slot].stop.signal;
  if (signal == SIGKILL) {
    return later(kill_takes,
                 [this, slot, generation] { dies(slot, generation, ExitKind::signal, SIGKILL); });
  }
  if (script_.is_deaf[slot]) return;
  later(stop_takes, [this, slot, generation] {
    if (!processes_[slot].hangs) dies(slot, generation, ExitKind::exit, 0);
  });
}

void Simulation::carry_out(const KillTree& action) {
  later(kill_takes, [this, slot = action.slot, generation = processes_[action.slot].generation] {
    dies(slot, generation, ExitKind::signal, SIGKILL);
  });
}

void Simulation::carry_out(const Announce& action) {
  using Type = Announce::Type;
  const bool of_spare = plan_.instances[action.slot].is_spare;
  const bool is_told =
      action.type == Type::ready || action.type == Type::exited || action.type == Type::backoff;
  if (of_spare && !is_told) return;
  SimulatedEvent event;
  event.at = elapsed();
  event.type = (of_spare ? "spare." : "worker.") + std::string(to_string(action.type));
  event.slot = action.slot;
  event.generation = action.generation;
  event.pid = action.pid;
  event.cause = action.cause;
  if (event.cause.kind != ExitKind::none) event.cause.at -= began;
  if (action.type == Type::backoff) event.until = action.until - began;
  const InstanceState& instance = state_.instances[action.slot];
  const bool why =
      action.type == Type::failed || (action.type == Type::backoff && instance.probing);
  if (why) event.text = reason(action.slot);
  if (action.type == Type::stopping && instance.with_group != WithGroup::nothing) {
    event.text = "with group " + plan_.groups[instance.held_by].name;
  }
  tell_(event);
}

void Simulation::carry_out(const Finished&) { finished_ = true; }

void Simulation::strike(const ScriptAct& act, Duration at) {
  agenda_.emplace(began + count(at), [this, &act, at] {
    perform(act);
    const bool again = act.when == ScriptAct::When::every && at + act.time <= act.until;
    if (again) strike(act, at + act.time);
  });
}

void Simulation::tell_script(const ScriptAct& act, Slot slot, std::string_view type,
                             const std::string& more) {
  SimulatedEvent event;
  event.at = elapsed();
  event.type = type;
  event.slot = slot;
  if (slot != SimulatedEvent::no_slot) {
    event.pid = processes_[slot].pid;
    event.generation = state_.instances[slot].generation;
  }
  event.text = act.words + more;
  tell_(event);
}

void Simulation::perform(const ScriptAct& act) {
  if (act.what == ScriptAct::What::shutdown) {
    tell_script(act, SimulatedEvent::no_slot, "script", "");
    return apply(Shutdown{false});
  }
  for (const Slot slot : act.slots) {
    if (!finished_) perform(act, slot);
  }
  if (act.what == ScriptAct::What::restart && !finished_) restart(act.slots);
}

void Simulation::perform(const ScriptAct& act, Slot slot) {
  const Process process = processes_[slot];
  const bool needs_process =
      act.what == ScriptAct::What::ends || act.what == ScriptAct::What::hangs;
  if (needs_process && process.pid == 0) {
    const auto status = to_string(state_.instances[slot].status);
    return tell_script(act, slot, "script.idle", ": but it is " + std::string(status));
  }
  const auto& watchdog = config_.workers[plan_.instances[slot].worker_index].watchdog;
  const bool unnoticed = act.what == ScriptAct::What::hangs && !watchdog;
  tell_script(act, slot, "script", unnoticed ? ": it has no watchdog, so nobody notices" : "");
  switch (act.what) {
    case ScriptAct::What::ends: return dies(slot, process.generation, act.how, act.code);
    case ScriptAct::What::hangs:
      processes_[slot].hangs = true;
      if (!watchdog) return;
      return later(*watchdog, [this, slot, generation = process.generation] {
        if (is(slot, generation)) apply(WatchdogExpired{slot, generation});
      });
    case ScriptAct::What::up: return apply(WantUp{slot});
    case ScriptAct::What::down: return apply(WantDown{slot});
    case ScriptAct::What::restart:  // of all of them together, see perform(act)
    case ScriptAct::What::shutdown: return;
  }
}

}  // namespace bulkhead::supervisor
