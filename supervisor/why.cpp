#include "supervisor/why.hpp"

#include <algorithm>

namespace bulkhead::supervisor {
namespace {

using enum InstanceStatus;

std::string times(std::uint32_t count) {
  if (count == 1) return "once";
  return count == 2 ? "twice" : std::to_string(count) + " times";
}

std::string process(const InstanceState& instance) {
  if (instance.pid == 0) return "";
  return " It is pid " + std::to_string(instance.pid) + ", generation " +
         std::to_string(instance.generation) + ".";
}

std::string last_death(const Incidents& incidents, Slot slot, TimeNs now) {
  const auto* const incident = incidents.latest(slot);
  if (incident == nullptr) return "";
  const TimeNs ago = now > incident->died_ns ? now - incident->died_ns : 0;
  return " Its last incident, number " + std::to_string(incident->number) + ", was " +
         in_words(ago) + " ago: " + incidents.words(*incident) + ".";
}

std::string outcome_of(LimitThen then) {
  switch (then) {
    case LimitThen::half_open: return "it is only probed every now and then";
    case LimitThen::stop: return "it stays down";
    case LimitThen::escalate:
    case LimitThen::exit: break;
  }
  return "the system ends";
}

std::string history(const Restart& restart, const InstanceState& instance, TimeNs now) {
  std::string text;
  if (instance.restarts > 0) text = " It has been restarted " + times(instance.restarts) + ".";
  if (!restart.limit || restart.policy == RestartPolicy::never) return text;
  const TimeNs within = nanoseconds(restart.limit->within);
  const auto failures = instance.failures.failures_since(now > within ? now - within : 0);
  if (failures == 0) return text;
  // Of the failures as many are remembered as the limit allows.
  const bool over = failures >= restart.limit->count &&
                    (instance.probing || instance.status == InstanceStatus::failed);
  return text + " It has failed " + (over ? "more than " : "") + times(failures) +
         " within the last " + in_words(within) + ", and its limit allows " +
         std::to_string(restart.limit->count) + "; over that " + outcome_of(restart.limit->then) +
         ".";
}

std::string after_a_death(const InstancePlan& plan, const InstanceState& instance) {
  if (plan.restart.policy == RestartPolicy::never) return "it stays down: its policy is never";
  const Backoff& backoff = plan.restart.backoff;
  const std::string when =
      instance.attempt == 0 || backoff.initial.count() == 0
          ? "at once"
          : "after a back-off of at most " + in_words(nanoseconds(backoff.max));
  return (plan.restart.policy == RestartPolicy::on_failure
              ? "and that is a failure, it starts again "
              : "it starts again ") +
         when;
}

std::string what_comes(const InstancePlan& plan, const InstanceState& instance) {
  switch (instance.status) {
    case ready: return "When it dies, " + after_a_death(plan, instance) + ".";
    case waiting: return "It starts as soon as that is over.";
    case backoff: return "Nothing else has to happen; `bulkhead start` does not wait that long.";
    case half_open:
      return "A probe that stays ready for " +
             in_words(nanoseconds(plan.restart.backoff.reset_after)) +
             " ends this; `bulkhead start` probes now.";
    case starting:
      return plan.ready == ReadyType::exec
                 ? "It is ready once its program is executed."
                 : "If it is not ready by then, it is killed and has failed.";
    case stopping: return "If it is still there then, SIGKILL follows.";
    case draining: return "It goes when that is done.";
    case killing:
    case unkillable: return "What comes next waits for its death.";
    case done: return "It has no more to do; `bulkhead start` runs it again.";
    case disabled:
    case failed:
    case quarantined: return "Nothing happens until `bulkhead start`.";
  }
  return "";
}

}  // namespace

std::string explain(const Plan& plan, const State& state, const Incidents& incidents,
                    const std::string& complaint, Slot slot, TimeNs now) {
  const InstancePlan& own = plan.instances[slot];
  const InstanceState& instance = state.instances[slot];
  std::string text = own.name + " is " + std::string(to_string(instance.status)) + ": " +
                     reason(plan, state, slot, now) + "." + process(instance) +
                     last_death(incidents, slot, now) + history(own.restart, instance, now);
  if (!complaint.empty()) text += " Its links: " + complaint + ".";
  const bool ends = state.stopping && instance.pid == 0;
  return text + " " +
         (ends ? "The system stops, so nothing more happens." : what_comes(own, instance));
}

}  // namespace bulkhead::supervisor
