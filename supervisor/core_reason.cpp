// The core in words: names of its states, and why an instance is where it is.
#include <cstdio>
#include <cstring>

#include "supervisor/core.hpp"

namespace bulkhead::supervisor {

std::string in_words(TimeNs duration) {
  char text[32];
  const double seconds = static_cast<double>(duration) / 1e9;
  if (seconds < 1) {
    std::snprintf(text, sizeof text, "%.0f ms", seconds * 1e3);
  } else if (seconds < 120) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else {
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  }
  return text;
}

namespace {

using enum InstanceStatus;

std::string span(Duration duration) { return in_words(nanoseconds(duration)); }

std::string until(TimeNs due, TimeNs now) { return in_words(due > now ? due - now : 0); }
std::string since(TimeNs then, TimeNs now) { return in_words(now > then ? now - then : 0); }

std::string signal_in_words(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

std::string describe(const ExitCause& cause) {
  switch (cause.kind) {
    case ExitKind::none: return "it has not run yet";
    case ExitKind::exit: return "exited with code " + std::to_string(cause.code);
    case ExitKind::signal: return "killed by " + signal_in_words(cause.code);
    case ExitKind::oom: return "killed for want of memory";
    case ExitKind::watchdog: return "killed by the watchdog: it did not beat in time";
    case ExitKind::lease:
      return "killed over a lease: it held a task for longer than the lease_timeout of its queue";
    case ExitKind::exec_failed:
      return std::string("could not be executed: ") + std::strerror(cause.code);
  }
  return "";
}

std::string last_death(const InstancePlan& plan, const InstanceState& instance) {
  if (instance.killed_for == KilledFor::not_ready) {
    return "killed because it was not ready within " + span(plan.ready_timeout);
  }
  return describe(instance.last_exit);
}

std::string limit_text(const std::optional<RestartLimit>& stated) {
  const RestartLimit limit = stated.value_or(RestartLimit{});
  return "more than " + std::to_string(limit.count) + " failures within " + span(limit.within);
}

// Of the limit that it is over: its own, or a group's.
std::string limit_text(const Plan& plan, Slot slot, const InstanceState& instance) {
  if (instance.over_limit_of == no_group) return limit_text(plan.instances[slot].restart.limit);
  const GroupPlan& group = plan.groups[instance.over_limit_of];
  return limit_text(group.limit) + " in group " + group.name;
}

std::string with_group_text(const Plan& plan, const InstanceState& instance) {
  const std::string group = "group " + plan.groups[instance.held_by].name;
  return instance.with_group == WithGroup::fail ? "its " + group + " has failed"
                                                : "it restarts with its " + group;
}

std::string_view level_name(DependsOn level) {
  switch (level) {
    case DependsOn::started: return "started";
    case DependsOn::ready: return "ready";
    case DependsOn::completed: break;
  }
  return "completed";
}

bool satisfies(const InstancePlan& plan, const InstanceState& instance, DependsOn level) {
  const Fact fact = level == DependsOn::started ? Fact::started
                    : level == DependsOn::ready ? Fact::ready
                                                : Fact::completed;
  return (facts_of(plan, instance) & bit(fact)) != 0;
}

// Who has to be gone, or to be due, before its group starts again.
std::string why_held(const Plan& plan, const State& state, const InstanceState& instance,
                     TimeNs now) {
  const GroupPlan& group = plan.groups[instance.held_by];
  const std::string restarts = "restarts with its group " + group.name;
  for (Slot other = 0; other < plan.instances.size(); ++other) {
    if (state.index.detained_for(other) != instance.held_by) continue;
    const InstanceState& detained = state.instances[other];
    return restarts + " once " + plan.instances[other].name +
           (detained.pid != 0 || detained.status == starting
                ? " has stopped"
                : " may, in " + until(detained.due, now));
  }
  return restarts;
}

std::string why_between_runs(const InstanceState& instance, TimeNs now) {
  const ExitCause& cause = instance.last_exit;
  const bool well =
      cause.kind == ExitKind::none || (cause.kind == ExitKind::exit && cause.code == 0);
  return "runs next in " + until(instance.due, now) +
         (well ? std::string() : "; the last run: " + describe(cause));
}

std::string why_waiting(const Plan& plan, const State& state, Slot slot, TimeNs now) {
  if (state.instances[slot].due != time_never) return why_between_runs(state.instances[slot], now);
  if (state.instances[slot].with_group != WithGroup::nothing) {
    return why_held(plan, state, state.instances[slot], now);
  }
  const WorkerPlan& worker = plan.workers[plan.instances[slot].worker_index];
  for (const auto& [other, level] : worker.needs) {
    const Slot first = plan.workers[other].first;
    for (Slot needed = first; needed < first + plan.workers[other].count; ++needed) {
      if (satisfies(plan.instances[needed], state.instances[needed], level)) continue;
      return "waiting for " + plan.instances[needed].name + " (" + std::string(level_name(level)) +
             "), which is " + std::string(to_string(state.instances[needed].status));
    }
  }
  return "waiting for its turn: at most " + std::to_string(plan.max_parallel_starts) +
         " instances start at once";
}

std::string why_failed(const Plan& system, const InstancePlan& plan,
                       const InstanceState& instance) {
  if (instance.with_group == WithGroup::fail) {
    const GroupPlan& group = system.groups[instance.held_by];
    return "its group " + group.name + " had " + limit_text(group.limit) + "; `start` tries again";
  }
  const ExitCause& cause = instance.last_exit;
  if (cause.kind == ExitKind::exec_failed) return describe(cause) + "; `start` tries again";
  if (cause.kind == ExitKind::exit && cause.code == 78) {
    return "refused its configuration (exit code 78); `start` tries again";
  }
  const std::string death = last_death(plan, instance);
  if (plan.restart.policy == RestartPolicy::never) return death + "; its restart policy is never";
  return limit_text(plan.restart.limit) + "; the last time " + death;
}

std::string why_killing(const InstancePlan& plan, const InstanceState& instance) {
  switch (instance.killed_for) {
    case KilledFor::not_ready:
      return "being killed: it was not ready within " + span(plan.ready_timeout);
    case KilledFor::watchdog: return "being killed: it did not beat in time";
    case KilledFor::lease: return "being killed: it held a task for too long";
    case KilledFor::stop_timeout:
      return "being killed: it did not stop within " + span(plan.stop.timeout);
    default: return "being killed";
  }
}

}  // namespace

std::string_view to_string(InstanceStatus status) noexcept {
  switch (status) {
    case disabled: return "disabled";
    case waiting: return "waiting";
    case backoff: return "backoff";
    case starting: return "starting";
    case ready: return "ready";
    case draining: return "draining";
    case stopping: return "stopping";
    case killing: return "killing";
    case unkillable: return "unkillable";
    case done: return "done";
    case failed: return "failed";
    case half_open: return "half_open";
    case quarantined: return "quarantined";
  }
  return "unknown";
}

std::string_view to_string(ExitKind kind) noexcept {
  switch (kind) {
    case ExitKind::none: return "none";
    case ExitKind::exit: return "exit";
    case ExitKind::signal: return "signal";
    case ExitKind::oom: return "oom";
    case ExitKind::watchdog: return "watchdog";
    case ExitKind::lease: return "lease_timeout";
    case ExitKind::exec_failed: return "exec_failed";
  }
  return "unknown";
}

std::string_view to_string(Announce::Type type) noexcept {
  switch (type) {
    case Announce::Type::starting: return "starting";
    case Announce::Type::ready: return "ready";
    case Announce::Type::exited: return "exited";
    case Announce::Type::backoff: return "backoff";
    case Announce::Type::stopping: return "stopping";
    case Announce::Type::stopped: return "stopped";
    case Announce::Type::failed: return "failed";
    case Announce::Type::quarantined: return "quarantined";
    case Announce::Type::promoted: return "promoted";
  }
  return "unknown";
}

std::string reason(const Plan& plan, const State& state, Slot slot, TimeNs now) {
  const InstancePlan& own = plan.instances[slot];
  const InstanceState& instance = state.instances[slot];
  const std::string& worker = plan.workers[own.worker_index].name;
  if (own.is_spare && !state.stopping && instance.pid == 0) {
    if (instance.status == disabled) return "no instance of " + worker + " is meant to run";
    if (instance.status == waiting)
      return "waiting until the instances of " + worker + " are ready";
  }
  switch (instance.status) {
    case disabled: return state.stopping ? "stopped: the system stops" : "stopped by request";
    case waiting: return why_waiting(plan, state, slot, now);
    case backoff:
      return last_death(own, instance) + "; attempt " + std::to_string(instance.attempt) +
             " to restart it in " + until(instance.due, now);
    case half_open:
      return limit_text(plan, slot, instance) + ", the last time " + last_death(own, instance) +
             "; next probe in " + until(instance.due, now);
    case starting:
      return instance.due == time_never
                 ? "being started"
                 : "started " + since(instance.started_at, now) + " ago, has " +
                       until(instance.due, now) + " left to become ready";
    case ready:
      return "ready for " + since(instance.ready_at, now) +
             (instance.probing ? ", a probe after " + limit_text(plan, slot, instance)
                               : std::string()) +
             (instance.with_group != WithGroup::nothing
                  ? "; stops in its turn: " + with_group_text(plan, instance)
                  : std::string());
    case draining: return "finishing its work";
    case stopping:
      return "asked to stop" +
             (instance.with_group != WithGroup::nothing ? ": " + with_group_text(plan, instance)
                                                        : std::string()) +
             "; killed in " + until(instance.due, now);
    case killing: return why_killing(own, instance);
    case unkillable:
      return "does not die of SIGKILL: /proc/" + std::to_string(instance.pid) +
             "/wchan says what it waits for in the kernel";
    case done: return "finished its work";
    case failed: return why_failed(plan, own, instance);
    case quarantined: return "kept from starting";
  }
  return "";
}

}  // namespace bulkhead::supervisor
