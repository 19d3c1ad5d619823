// The part of Brain that has to do with which config is in force: found at the start, carried out, handed
// over to the next brain when it is to be another (docs/design/reload.md).
#include <unistd.h>

#include <random>
#include <utility>

#include "base/clock.hpp"
#include "supervisor/brain.hpp"
#include "supervisor/keeper_sweep.hpp"
#include "supervisor/operator_line.hpp"
#include "supervisor/sealed_config.hpp"

namespace bulkhead::supervisor {
namespace {

std::uint64_t random_number() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device() | 1;
}

// What was put in force last, or else what the system was started with.
Result<RunningConfig> find_running(const KeeperClient& keeper, int started_with) {
  const auto kept = keeper.find(running_config_tag);
  const auto source = read_sealed_config(kept.value_or(started_with));
  if (!source) return source.error();
  if (kept) return read_running_config(source->text, source->path);
  RunningConfig running;
  running.now = {source->path, source->text, {}};
  return running;
}

Residents residents_of(const SystemConfig& config, const Plan& plan) {
  Residents residents;
  for (const auto& instance : plan.instances) residents.instances.insert(instance.name);
  for (const auto& pair : make_pairs(config, plan)) residents.pairs.insert(pair.name);
  for (const auto& link : config.links) residents.links.insert(link.name);
  return residents;
}

}  // namespace

Result<std::unique_ptr<Brain>> Brain::create(const BrainArguments& arguments) {
  auto keeper = KeeperClient::adopt(arguments.keeper_page, arguments.keeper_socket);
  if (!keeper) return keeper.error();
  auto state = StateRegion::map(arguments.state);
  if (!state) return state.error();
  state->beat();
  auto running = find_running(*keeper, arguments.config);
  if (!running) return running.error();
  auto config = assemble(*running, arguments.system.program_directory);
  if (!config) return config.error();
  SystemRecord record;
  if (const auto saved = state->load_system()) {
    record = *saved;
  } else {
    record.random = random_number();
    record.system_id = random_number();
  }
  auto incidents = Incidents::open_store(*keeper);
  if (!incidents) return incidents.error();
  std::unique_ptr<Brain> brain(new Brain(arguments, std::move(*running), std::move(*config),
                                         std::move(*keeper), std::move(*state), record,
                                         std::move(*incidents)));
  if (auto begun = brain->begin_sockets(); !begun) return begun.error();
  return brain;
}

// At the start of a system this fails for what somebody else listens at, and then there is nothing to try again;
// a brain after that finds them open. One that comes when all is over needs none.
Result<void> Brain::begin_sockets() {
  if (record_.finished != 0) return {};
  auto opened = sockets_.open(config_.listeners());
  sockets_.keep_only(config_.listeners());
  if (!opened && !state_.load_system()) {
    tell_operator(opened.error().to_string());
    (void)keeper_.stop(1);
  }
  return opened;
}

// Before any part looks into the store. What nobody owns in the config in force nobody will ask for again.
void Brain::settle_in(const RunningConfig& running) {
  if (running.seats.empty()) return;
  std::vector<Slot> seats;
  for (const auto& instance : plan_.instances) seats.push_back(running.seats.at(instance.name));
  state_.set_seats(std::move(seats));
  std::map<Slot, std::string> names;
  for (const auto& [name, seat] : running.seats) names[seat] = name;
  journal_.remember(std::move(names));
  static constexpr std::string_view log = "log/read/";
  const Residents residents = residents_of(config_, plan_);
  for (const auto& entry : keeper_.entries()) {
    if (!is_stranger(entry.tag, residents)) continue;
    if (entry.tag.starts_with(log)) former_logs_.push_back(entry.tag.substr(log.size()));
    (void)keeper_.drop(entry.tag);
  }
}

void Brain::introduce_logger(ControlPort& port) {
  logs_.introduce(port);
  for (const auto& name : former_logs_) {
    port.send(ipc::notification("log.remove", {{"name", name}}), {});
  }
  former_logs_.clear();
}

// A config that is new is told once it is in force, and a brain that came for it is no recovery.
void Brain::tell_of_takeover(TimeNs began) {
  const TimeNs now = base::monotonic_ns();
  const RunningConfig& running = configs_.running();
  SystemRecord& record = supervision_.record();
  const bool is_new = record.config_serial != running.serial;
  const bool came_for_it = record.config_revision != running.revision;
  record.config_serial = running.serial;
  record.config_revision = running.revision;
  if (is_new) api_.happened(journal_.config_reloaded(running.serial, running.summary, now));
  if (came_for_it) {
    supervision_.save();
  } else if (keeper_.brain_generation() > 1) {
    api_.happened(
        journal_.brain_recovered(keeper_.brain_generation(), ::getpid(), now - began, now));
  }
}

void Brain::begin_rollout() {
  const RunningConfig& running = configs_.running();
  for (Slot slot = 0; slot < plan_.instances.size(); ++slot) {
    if (plan_.workers[plan_.instances[slot].worker_index].leaving) continue;
    const std::string& name = plan_.instances[slot].name;
    const auto rolling = running.rolling.find(name), together = running.together.find(name);
    if (rolling != running.rolling.end()) rollout_.add_rolling(slot, rolling->second);
    if (together != running.together.end()) rollout_.add_together(slot, together->second);
  }
  rolls_ = true;
}

void Brain::roll() {
  if (handing_over_ || !rolls_ || is_rolling_) return;
  if (rollout_.is_idle() && !configs_.is_leaving()) return;
  is_rolling_ = true;
  for (;;) {
    const auto step = rollout_.next(plan_, supervision_.state());
    if (step.emptied) {
      for (const auto& link : configs_.running().emptied) introducer_.make_empty(link);
    }
    if (step.wanted.empty()) break;
    for (const Event& wanted : step.wanted) supervision_.apply(wanted);
  }
  is_rolling_ = false;
  rollout_.forget_if_done(supervision_.state());
  if (configs_.is_leaving() && has_everybody_left()) {
    if (const auto forgotten = configs_.forget_leavers(); forgotten) return hand_over();
    // Tried again with the next change; until then no other config can be put in force.
  }
}

bool Brain::has_everybody_left() const {
  if (supervision_.state().stopping) return false;
  for (Slot slot = 0; slot < plan_.instances.size(); ++slot) {
    if (!plan_.workers[plan_.instances[slot].worker_index].leaving) continue;
    const InstanceState& instance = supervision_.instance(slot);
    if (instance.pid != 0 || instance.status != InstanceStatus::disabled) return false;
  }
  return true;
}

// The store has been made, so whatever kills us now, the successor begins with the other config.
void Brain::hand_over() {
  handing_over_ = true;
  io_.stop();
}

}  // namespace bulkhead::supervisor
