#include "supervisor/worker_limits.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "supervisor/config.hpp"
#include "supervisor/operator_line.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr auto patience = std::chrono::seconds(1);

int rlimit_of(Controller controller) {
  return controller == Controller::memory ? RLIMIT_AS : RLIMIT_NPROC;
}

std::string_view rlimit_name(Controller controller) {
  return controller == Controller::memory ? "RLIMIT_AS" : "RLIMIT_NPROC";
}

std::uint64_t whole_seconds(Duration duration) {
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(duration).count());
}

// What the kernel says of a process, which may have lowered it.
nlohmann::json rlimit_in_force(std::int32_t pid, int resource) {
  rlimit limit{};
  const auto kind = static_cast<__rlimit_resource>(resource);
  if (pid == 0 || ::prlimit(pid, kind, nullptr, &limit) != 0) return nullptr;
  if (limit.rlim_cur == RLIM_INFINITY) return nullptr;
  return limit.rlim_cur;
}

nlohmann::json rlimit_row(std::int32_t pid, int resource, const char* name, const char* unit,
                          std::uint64_t wanted) {
  const auto now = rlimit_in_force(pid, resource);
  return {{unit, now.is_null() ? nlohmann::json(wanted) : now},
          {"by", now.is_null() ? nlohmann::json() : nlohmann::json(name)},
          {"refused", nullptr}};
}

}  // namespace

std::string_view to_string(Controller controller) noexcept {
  return controller == Controller::memory ? "memory" : "pids";
}

WorkerLimits::WorkerLimits(const SystemConfig& config, const Plan& plan, std::string tree_name,
                           pid_t keeper)
    : config_(config), plan_(plan) {
  for (const auto controller : {Controller::memory, Controller::pids}) {
    trees_.emplace_back(std::string(to_string(controller)), tree_name, keeper);
  }
}

const Limits& WorkerLimits::limits_of(Slot slot) const {
  return config_.workers[plan_.instances[slot].worker_index].limits;
}

std::vector<WorkerLimits::Wanted> WorkerLimits::wanted(Slot slot) const {
  std::vector<Wanted> list;
  const Limits& limits = limits_of(slot);
  if (limits.memory) list.push_back({Controller::memory, *limits.memory});
  if (limits.pids) list.push_back({Controller::pids, *limits.pids});
  return list;
}

std::string WorkerLimits::leaf(Slot slot, Generation generation) const {
  const auto begun = begun_as_.find(slot);
  if (begun != begun_as_.end() && begun->second.first == generation) return begun->second.second;
  return plan_.instances[slot].name + "." + std::to_string(generation);
}

Result<base::UniqueFd> WorkerLimits::make_cgroup(const Wanted& wanted, const std::string& leaf) {
  CgroupTree& home = tree(wanted.controller);
  if (const auto prepared = home.prepare(); !prepared) return prepared.error();
  if (const auto made = home.make(leaf); !made) return made.error();
  if (const auto limited = home.set_limit(leaf, wanted.limit); !limited) return limited.error();
  const std::string file = home.directory(leaf) + "/cgroup.procs";
  base::UniqueFd procs{::open(file.c_str(), O_WRONLY | O_CLOEXEC)};
  if (!procs.is_open()) return errno_error(errno, "open " + file);
  return procs;
}

void WorkerLimits::prepare(Slot slot, Generation generation, base::SpawnPlan& plan) {
  lent_.clear();
  lent_to_.clear();
  if (slot >= plan_.instances.size()) return;  // a program of the supervisor's own
  const auto list = wanted(slot);
  if (list.empty()) return;
  const std::string name = leaf(slot, generation);
  ended(slot, generation);  // of an instance that was taken away, and is back under the same number
  memories_[slot] = {generation, 0, 0};
  for (const Wanted& one : list) {
    refused_.erase({slot, one.controller});
    const base::ResourceLimit instead{rlimit_of(one.controller), one.limit, one.limit};
    auto procs = make_cgroup(one, name);
    if (procs) {
      plan.cgroups.push_back({procs->get(), instead});
      lent_.push_back(std::move(*procs));
      lent_to_.push_back(one.controller);
    } else {
      plan.limits.push_back(instead);
      refuse(slot, one.controller, base::refusal_in_words(procs.error()));
    }
  }
  if (lent_.empty()) ended(slot, generation);  // it would stay empty
}

void WorkerLimits::started(Slot slot, Generation generation, const base::Spawned& spawned) {
  bool is_used = lent_.empty();
  for (std::size_t i = 0; i < lent_.size() && i < spawned.cgroup_refusals.size(); ++i) {
    const int refusal = spawned.cgroup_refusals[i];
    is_used = is_used || refusal == 0;
    if (refusal == 0) continue;
    refuse(slot, lent_to_[i],
           "enter the cgroup " + tree(lent_to_[i]).directory(leaf(slot, generation)) + ": " +
               std::strerror(refusal));
  }
  lent_.clear();
  lent_to_.clear();
  if (!is_used) ended(slot, generation);
}

void WorkerLimits::refuse(Slot slot, Controller controller, const std::string& why) {
  refused_[{slot, controller}] = why;
  std::string& told = told_[{plan_.instances[slot].worker, controller}];
  if (told == why) return;
  told = why;
  tell_operator(plan_.instances[slot].worker + ": limits." + std::string(to_string(controller)) +
                " is set as " + std::string(rlimit_name(controller)) + ", not by a cgroup: " + why);
}

// Why it runs without its cgroup is what keeps us from making one, too, or else nobody knows any more.
void WorkerLimits::adopt(Slot slot, Generation generation, std::int32_t pid) {
  if (slot >= plan_.instances.size()) return;
  const auto list = wanted(slot);
  if (!list.empty()) memories_[slot] = {generation, 0, 0};
  const std::string name = leaf(slot, generation);
  for (const Wanted& one : list) {
    if (is_within(pid, one.controller, name)) continue;
    const auto prepared = tree(one.controller).prepare();
    refused_[{slot, one.controller}] = prepared ? "it was refused when the worker was started"
                                                : base::refusal_in_words(prepared.error());
  }
}

void WorkerLimits::was_spare(const Incarnation& now, Slot spare, Generation generation_as_spare) {
  if (wanted(now.slot).empty()) return;
  begun_as_[now.slot] = {now.generation, leaf(spare, generation_as_spare)};
  for (const auto controller : {Controller::memory, Controller::pids}) {
    refused_.erase({now.slot, controller});  // of its predecessor
  }
  adopt(now.slot, now.generation, now.pid);
}

// Of what was killed a whole look ago somebody who lives can only have lost a child.
void WorkerLimits::look(const std::vector<Generation>& living) {
  for (auto& [slot, memory] : memories_) {
    if (slot >= living.size() || living[slot] != memory.generation) continue;
    memory.seen = memory.counted;
    memory.counted = tree(Controller::memory).oom(leaf(slot, memory.generation)).kills;
  }
}

MemoryDeath WorkerLimits::death(Slot slot, Generation generation, bool by_sigkill) const {
  MemoryDeath death;
  death.limit = limits_of(slot).memory.value_or(0);
  const CgroupTree& home = tree(Controller::memory);
  if (death.limit == 0 || !home.is_there()) return death;
  death.oom = home.oom(leaf(slot, generation));
  const auto memory = memories_.find(slot);
  const bool is_known = memory != memories_.end() && memory->second.generation == generation;
  death.was_killed = by_sigkill && death.oom.kills > (is_known ? memory->second.seen : 0);
  return death;
}

void WorkerLimits::ended(Slot slot, Generation generation) {
  if (slot >= plan_.instances.size()) return;
  const auto deadline = Deadline::in(patience);
  for (const CgroupTree& home : trees_) {
    if (home.is_there() && !home.remove(leaf(slot, generation), deadline)) has_leftovers_ = true;
  }
}

void WorkerLimits::collect(const std::vector<Generation>& living) {
  std::set<std::string> owned;
  for (Slot slot = 0; slot < plan_.instances.size() && slot < living.size(); ++slot) {
    if (living[slot] != 0) owned.insert(leaf(slot, living[slot]));
  }
  has_leftovers_ = false;
  const auto deadline = Deadline::in(patience);
  for (const CgroupTree& home : trees_) {
    if (!home.is_there()) continue;
    for (const auto& name : home.leaves()) {
      if (!owned.contains(name) && !home.remove(name, deadline)) has_leftovers_ = true;
    }
  }
}

bool WorkerLimits::remove_all() {
  collect({});
  bool is_gone = !has_leftovers_;
  for (CgroupTree& home : trees_) is_gone = home.remove_all().has_value() && is_gone;
  return is_gone;
}

bool WorkerLimits::is_within(std::int32_t pid, Controller controller,
                             const std::string& name) const {
  if (pid == 0 || !tree(controller).is_there()) return false;
  const auto text = base::read_file("/proc/" + std::to_string(pid) + "/cgroup");
  return text && text->find("/" + name + "\n") != std::string::npos &&
         tree(controller).limit(name).has_value();
}

nlohmann::json WorkerLimits::status(Slot slot, std::int32_t pid, Generation generation) const {
  auto rows = nlohmann::json::object();
  const std::string name = leaf(slot, generation);
  for (const Wanted& one : wanted(slot)) {
    const char* const unit = one.controller == Controller::memory ? "bytes" : "count";
    auto row = rlimit_row(pid, rlimit_of(one.controller), rlimit_name(one.controller).data(), unit,
                          one.limit);
    if (is_within(pid, one.controller, name)) {
      row[unit] = *tree(one.controller).limit(name);
      row["by"] = base::to_string(tree(one.controller).version());
      const auto memory = memories_.find(slot);
      if (one.controller == Controller::memory && memory != memories_.end()) {
        row["oom_kills"] = memory->second.seen;
      }
    }
    const auto why = refused_.find({slot, one.controller});
    if (why != refused_.end()) row["refused"] = "cgroup: " + why->second;
    rows[std::string(to_string(one.controller))] = std::move(row);
  }
  const Limits& limits = limits_of(slot);
  if (limits.nofile) {
    rows["nofile"] = rlimit_row(pid, RLIMIT_NOFILE, "RLIMIT_NOFILE", "count", *limits.nofile);
  }
  if (limits.cpu) {
    rows["cpu"] = rlimit_row(pid, RLIMIT_CPU, "RLIMIT_CPU", "seconds", whole_seconds(*limits.cpu));
  }
  if (limits.core) {
    rows["core"] = rlimit_row(pid, RLIMIT_CORE, "RLIMIT_CORE", "bytes", *limits.core);
  }
  return rows;
}

std::string WorkerLimits::complaint(Slot slot) const {
  std::string text;
  for (const Wanted& one : wanted(slot)) {
    const auto why = refused_.find({slot, one.controller});
    if (why == refused_.end()) continue;
    text += (text.empty() ? "limits." : "; limits.") + std::string(to_string(one.controller)) +
            " is set as " + std::string(rlimit_name(one.controller)) +
            ", not by a cgroup: " + why->second;
  }
  return text;
}

}  // namespace bulkhead::supervisor
