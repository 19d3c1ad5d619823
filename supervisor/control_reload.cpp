// What the control API does with configs: shows them, compares them, puts them in force; and how it replaces
// the instances of a worker one by one.
#include <algorithm>
#include <set>
#include <string_view>

#include "base/clock.hpp"
#include "supervisor/control_api.hpp"

namespace bulkhead::supervisor {
namespace {

Result<ConfigVersion> version_in(const ClientRequest& request) {
  ConfigVersion version;
  ipc::FieldReader fields(request.method, request.params);
  fields.required("path", version.path).required("text", version.text);
  return fields.finish(std::move(version));
}

// It moves by itself: worth waiting for.
bool is_on_its_way(const InstanceState& instance) {
  switch (instance.status) {
    case InstanceStatus::backoff:
    case InstanceStatus::starting:
    case InstanceStatus::draining:
    case InstanceStatus::stopping:
    case InstanceStatus::killing: return true;
    default: return false;
  }
}

}  // namespace

Result<void> ControlApi::show_config(const ClientRequest& request) {
  const RunningConfig& running = parts_.configs.running();
  parts_.server.answer(request.client, request.id,
                       {{"path", running.now.path},
                        {"text", running.now.text},
                        {"scaled", running.now.scaled},
                        {"serial", running.serial}});
  return {};
}

Result<void> ControlApi::plan_config(const ClientRequest& request) {
  const auto version = version_in(request);
  if (!version) return version.error();
  auto plan = parts_.configs.plan(*version);
  if (!plan) return plan.error();
  parts_.server.answer(request.client, request.id, std::move(*plan));
  return {};
}

Result<void> ControlApi::reload(const ClientRequest& request) {
  const auto version = version_in(request);
  if (!version) return version.error();
  return put_in_force(request,
                      [&] { return parts_.configs.reload(*version, operation_of(request)); });
}

Result<void> ControlApi::scale(const ClientRequest& request) {
  std::string worker;
  std::uint32_t instances = 0;
  ipc::FieldReader fields(request.method, request.params);
  fields.required("name", worker).required("instances", instances);
  if (fields.failed()) return fields.error();
  if (instances == 0 || instances > state_layout::worker_slots) {
    return make_error(Errc::invalid_argument,
                      "scale " + worker + " " + std::to_string(instances) + ": expected 1 to " +
                          std::to_string(state_layout::worker_slots) +
                          (instances == 0 ? "; to have none of it running, stop it" : ""));
  }
  return put_in_force(
      request, [&] { return parts_.configs.scale(worker, instances, operation_of(request)); });
}

// The store is what counts: a request whose brain died after it is recognised by what is stored.
Result<void> ControlApi::put_in_force(const ClientRequest& request,
                                      const std::function<Result<bool>()>& change) {
  if (parts_.supervision.state().stopping) {
    return make_error(Errc::not_permitted, "the system is shutting down");
  }
  const std::uint64_t operation = operation_of(request);
  const bool is_known = operation != 0 && (parts_.configs.running().operation == operation ||
                                           was_carried_out(operation));
  if (!is_known && parts_.configs.is_leaving()) {
    // The brain after this one will be asked again, when those have left.
    wait(request, [this] { return all_left(); });
    return {};
  }
  if (!is_known) {
    const auto changed = change();
    if (!changed) return changed.error();
    (void)first_time(request);
    if (*changed) {
      parts_.hand_over();
      return {};
    }
  }
  const auto& names = parts_.configs.running().touched;
  const std::set<std::string_view> touched(names.begin(), names.end());
  std::vector<Slot> slots;
  for (Slot slot = 0; slot < plan_.instances.size(); ++slot) {
    if (touched.contains(plan_.instances[slot].name)) slots.push_back(slot);
  }
  wait(request, [this, slots] { return in_force(slots); });
  return {};
}

// Another brain answers when they have. One that does not die keeps everybody waiting, so that is said.
ControlApi::Outcome ControlApi::all_left() const {
  for (Slot slot = 0; slot < plan_.instances.size(); ++slot) {
    if (!plan_.workers[plan_.instances[slot].worker_index].leaving) continue;
    if (parts_.supervision.instance(slot).status != InstanceStatus::unkillable) continue;
    return Result<ipc::Json>(
        make_error(Errc::timed_out,
                   plan_.instances[slot].name +
                       ", which the last reload took away, does not die: it hangs inside the "
                       "kernel (state D), and no other config can be put in force until it has"));
  }
  return std::nullopt;
}

// All that the last change has to do with is ready, or will not be.
ControlApi::Outcome ControlApi::in_force(const std::vector<Slot>& touched) const {
  const RunningConfig& running = parts_.configs.running();
  const State& state = parts_.supervision.state();
  const bool stuck = parts_.rollout.stuck(plan_, state);
  if (parts_.configs.is_leaving()) return all_left();
  if (!parts_.rollout.over(state) && !stuck) return std::nullopt;
  const bool all_settled = std::none_of(
      state.instances.begin(), state.instances.begin() + plan_.first_spare(), is_on_its_way);
  std::string failed;
  for (const Slot slot : touched) {
    const auto& instance = state.instances[slot];
    if (is_up(instance) || instance.desired == Desired::down) continue;
    if (!keeps_failing(instance) && instance.status != InstanceStatus::unkillable && !all_settled) {
      return std::nullopt;
    }
    failed += (failed.empty() ? "" : "; ") + plan_.instances[slot].name + ": " +
              reason(plan_, state, slot, base::monotonic_ns());
  }
  if (failed.empty()) {
    return Result<ipc::Json>(ipc::Json{
        {"serial", running.serial}, {"summary", running.summary}, {"names", running.touched}});
  }
  return Result<ipc::Json>(
      make_error(Errc::exec_failed,
                 "the config is in force, but " + failed +
                     (stuck ? "; the other instances go on as they are until it is ready" : "")));
}

// Those that were stopped have only to be started.
void ControlApi::replace_one_by_one(const std::vector<Slot>& slots) {
  std::vector<Slot> up;
  for (const Slot slot : slots) {
    const InstanceState& instance = parts_.supervision.instance(slot);
    if (instance.desired == Desired::up) up.push_back(slot);
  }
  // Without the note they are replaced all the same, unless this brain dies meanwhile.
  (void)parts_.configs.note_rolling(up);
  for (const Slot slot : up) {
    parts_.rollout.add_rolling(slot, parts_.supervision.instance(slot).generation);
  }
  for (const Slot slot : slots) {
    if (parts_.supervision.instance(slot).desired == Desired::down) {
      parts_.supervision.apply(WantUp{slot});
    }
  }
  parts_.roll();
}

}  // namespace bulkhead::supervisor
