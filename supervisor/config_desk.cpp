#include "supervisor/config_desk.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "supervisor/descriptor_needs.hpp"
#include "supervisor/sealed_config.hpp"

namespace bulkhead::supervisor {
namespace {

std::string instance_name(const std::string& worker, std::uint32_t index) {
  return worker + "." + std::to_string(index);
}

std::uint64_t count_pairs(const SystemConfig& config) {
  std::uint64_t pairs = 0;
  for (const auto& link : config.links) {
    for (const auto& to : link.to) {
      pairs += std::uint64_t{config.find_worker(link.from)->instances} *
               config.find_worker(to)->instances;
    }
  }
  return pairs;
}

}  // namespace

ConfigDesk::ConfigDesk(RunningConfig running, Parts parts)
    : running_(std::move(running)), parts_(std::move(parts)) {}

SystemConfig ConfigDesk::in_force() const {
  SystemConfig config = parts_.config;
  std::erase_if(config.workers, [](const auto& worker) { return worker.leaving; });
  return config;
}

Seats ConfigDesk::seats() const {
  if (!running_.seats.empty()) return running_.seats;
  Seats seats;
  for (Slot slot = 0; slot < parts_.plan.instances.size(); ++slot) {
    seats[parts_.plan.instances[slot].name] = slot;
  }
  return seats;
}

Result<ConfigDiff> ConfigDesk::compare(const ConfigVersion& version, SystemConfig& wanted) const {
  auto parsed = parse_version(version, parts_.program_directory);
  if (!parsed) return parsed.error();
  wanted = std::move(*parsed);
  if (wanted.name != parts_.config.name) {
    return make_error(Errc::bad_config, version.path + " is the config of system " + wanted.name +
                                            ", and this one is " + parts_.config.name +
                                            ", which a reload cannot rename: `bulkhead run` it");
  }
  // What is remembered of groups goes by their places, and of members by their group.
  const auto same_members = [](const GroupConfig& was, const GroupConfig& is) {
    return was.name == is.name && was.members == is.members;
  };
  if (!std::equal(wanted.groups.begin(), wanted.groups.end(), parts_.config.groups.begin(),
                  parts_.config.groups.end(), same_members)) {
    return make_error(Errc::unsupported,
                      version.path +
                          ": /groups: a reload can change the strategies and limits of groups, "
                          "not which there are, their order or their members: shut the system "
                          "down and `bulkhead run` this config");
  }
  ConfigDiff diff = diff_configs(in_force(), wanted);
  if (auto fits = check_room(wanted, diff); !fits) return fits.error();
  return diff;
}

// While a reload is carried out there are the new instances and those that leave.
Result<void> ConfigDesk::check_room(const SystemConfig& wanted, const ConfigDiff& diff) const {
  std::uint64_t instances = 0;
  for (const auto& worker : diff.workers) {
    instances += std::max(worker.was_instances, worker.instances);
  }
  for (const auto& worker : wanted.workers) instances += worker.warm_spares;
  const std::uint64_t needed =
      brain_descriptors(places_of_instance_most * instances, instances, count_pairs(wanted));
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && needed > limit.rlim_cur) {
    return make_error(Errc::out_of_budget,
                      std::to_string(instances) + " instances and their links need about " +
                          std::to_string(needed) + " descriptors, the limit of this system is " +
                          std::to_string(limit.rlim_cur) + " (start it again after ulimit -Hn " +
                          std::to_string(needed) + ")");
  }
  for (const auto& link : diff.links) {
    if (link.fate == LinkFate::added || link.fate == LinkFate::removed || link.discards) continue;
    const auto room = parts_.queue_room(link.name);
    if (!room) continue;
    const WorkerDiff* worker = diff.worker(wanted.find_link(link.name)->to.front());
    if (worker == nullptr || worker->instances <= *room) continue;
    return make_error(Errc::out_of_budget,
                      "queue " + link.name + " was made for at most " + std::to_string(*room) +
                          " workers, and " + worker->name + " is to have " +
                          std::to_string(worker->instances) +
                          "; shut the system down and start it with that many");
  }
  return {};
}

Result<nlohmann::json> ConfigDesk::plan(const ConfigVersion& version) const {
  SystemConfig wanted;
  const auto diff = compare(version, wanted);
  if (!diff) return diff.error();
  auto json = diff_json(*diff);
  json["config"] = version.path;
  return json;
}

// Who was stopped by hand stays so, and sees the new config when it is started.
void ConfigDesk::plan_replacements(const ConfigDiff& diff, RunningConfig& next) const {
  const auto& plan = parts_.plan;
  next.rolling.clear();
  next.together.clear();
  for (Slot slot = 0; slot < plan.instances.size(); ++slot) {
    const InstancePlan& instance = plan.instances[slot];
    const InstanceState& state = parts_.instance(slot);
    const WorkerDiff* worker = diff.worker(instance.worker);
    const bool stays = worker != nullptr && instance.index < worker->instances &&
                       !plan.workers[instance.worker_index].leaving;
    if (!stays || state.desired == Desired::down) continue;
    const auto earlier = running_.rolling.find(instance.name);
    const bool still = earlier != running_.rolling.end() && state.generation <= earlier->second;
    if (worker->fate != WorkerFate::restarted && !still) continue;
    (worker->together ? next.together : next.rolling)[instance.name] = state.generation;
    next.touched.push_back(instance.name);
  }
}

Result<RunningConfig> ConfigDesk::next_version(const ConfigVersion& version,
                                               const SystemConfig& wanted,
                                               const ConfigDiff& diff) const {
  RunningConfig next;
  next.serial = running_.serial + 1;
  next.now = version;
  next.summary = summary(diff);
  std::vector<std::string> names;
  for (const auto& worker : wanted.workers) {
    const std::uint32_t was = diff.worker(worker.name)->was_instances;
    for (std::uint32_t index = 0; index < worker.instances; ++index) {
      names.push_back(instance_name(worker.name, index));
      if (index >= was) next.touched.push_back(names.back());
    }
    for (std::uint32_t index = 0; index < worker.warm_spares; ++index) {
      names.push_back(spare_name(worker.name, index));
    }
  }
  for (const auto& worker : diff.workers) {
    if (worker.was_instances <= worker.instances) continue;
    next.leaving.push_back(
        {worker.name, worker.instances, worker.was_instances - worker.instances});
    for (std::uint32_t index = worker.instances; index < worker.was_instances; ++index) {
      names.push_back(instance_name(worker.name, index));
    }
  }
  if (!next.leaving.empty()) next.before = running_.now;
  auto assigned = assign_seats(seats(), names, state_layout::worker_slots);
  if (!assigned) return assigned.error();
  next.seats = std::move(*assigned);
  for (const auto& link : diff.links) {
    if (link.discards && link.fate == LinkFate::changed) next.emptied.push_back(link.name);
  }
  plan_replacements(diff, next);
  return next;
}

Result<bool> ConfigDesk::reload(const ConfigVersion& version, std::uint64_t operation) {
  BULKHEAD_ASSERT(!is_leaving());
  SystemConfig wanted;
  const auto diff = compare(version, wanted);
  if (!diff) return diff.error();
  if (diff->empty()) {
    RunningConfig same = running_;
    same.now = version;
    same.summary = summary(*diff);
    same.operation = operation;
    if (auto stored = store(std::move(same)); !stored) return stored.error();
    return false;
  }
  auto next = next_version(version, wanted, *diff);
  if (!next) return next.error();
  if (auto open = parts_.open_sockets(wanted.listeners()); !open) return open.error();
  next->operation = operation;
  // In force nobody has these places yet, so what is written there means nothing before the store.
  const Seats now = seats();
  std::vector<std::string> living;
  for (const auto& instance : parts_.plan.instances) living.push_back(instance.name);
  std::sort(living.begin(), living.end());
  for (const auto& [name, seat] : next->seats) {
    const auto known = now.find(name);
    const bool is_new =
        known == now.end() || !std::binary_search(living.begin(), living.end(), name);
    if (is_new) parts_.state.clear_seat(seat);
  }
  next->revision = running_.revision + 1;
  if (auto stored = store(std::move(*next)); !stored) return stored.error();
  return true;
}

Result<bool> ConfigDesk::scale(const std::string& worker, std::uint32_t instances,
                               std::uint64_t operation) {
  if (parts_.config.find_worker(worker) == nullptr) {
    std::string names;
    for (const auto& config : parts_.config.workers) {
      if (!config.leaving) names += (names.empty() ? "" : ", ") + config.name;
    }
    return make_error(Errc::not_found, "no worker \"" + worker + "\" (workers: " + names + ")");
  }
  ConfigVersion version = running_.now;
  version.scaled[worker] = instances;
  if (const auto good = parse_version(version, parts_.program_directory); !good) {
    return make_error(Errc::invalid_argument, "scale " + worker + " " + std::to_string(instances) +
                                                  ": " + good.error().context);
  }
  return reload(version, operation);
}

Result<void> ConfigDesk::note_rolling(const std::vector<Slot>& slots) {
  RunningConfig next = running_;
  std::erase_if(next.rolling, [&](const auto& entry) {
    const auto& all = parts_.plan.instances;
    const auto slot = std::find_if(
        all.begin(), all.end(), [&](const auto& instance) { return instance.name == entry.first; });
    return slot == all.end() ||
           parts_.instance(static_cast<Slot>(slot - all.begin())).generation > entry.second;
  });
  for (const Slot slot : slots) {
    next.rolling[parts_.plan.instances[slot].name] = parts_.instance(slot).generation;
  }
  return store(std::move(next));
}

Result<bool> ConfigDesk::forget_leavers() {
  RunningConfig next = running_;
  next.before.reset();
  next.leaving.clear();
  ++next.revision;
  if (auto stored = store(std::move(next)); !stored) return stored.error();
  return true;
}

Result<void> ConfigDesk::store(RunningConfig next) {
  const auto sealed = seal_config({next.now.path, to_text(next)});
  if (!sealed) return sealed.error();
  if (auto stored = parts_.keeper.put(running_config_tag, sealed->get()); !stored) return stored;
  running_ = std::move(next);
  return {};
}

}  // namespace bulkhead::supervisor
