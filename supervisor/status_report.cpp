#include "supervisor/status_report.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/clock.hpp"
#include "supervisor/event_journal.hpp"
#include "supervisor/plain_desk.hpp"
#include "supervisor/sandbox.hpp"
#include "supervisor/worker_limits.hpp"

namespace bulkhead::supervisor {
namespace {

struct Usage {
  std::uint64_t rss_bytes = 0;
  double cpu_percent = 0;  // since the process began
  double cpu_seconds = 0;
};

// Fields 14, 15, 22 and 24 of /proc/PID/stat (proc(5)); those after the name, which may hold anything.
Usage read_usage(std::int32_t pid, TimeNs now) {
  Usage usage;
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (pid == 0 || !std::getline(file, line) || line.rfind(')') == line.npos) return usage;
  std::istringstream fields(line.substr(line.rfind(')') + 2));
  std::string skipped;
  std::uint64_t user = 0, system = 0, started = 0, pages = 0;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  fields >> user >> system;
  for (int field = 16; field < 22; ++field) fields >> skipped;
  fields >> started >> skipped >> pages;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const double lived = static_cast<double>(now) / 1e9 - static_cast<double>(started) / ticks;
  usage.rss_bytes = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  usage.cpu_seconds = static_cast<double>(user + system) / ticks;
  if (lived > 0) usage.cpu_percent = 100.0 * static_cast<double>(user + system) / ticks / lived;
  return usage;
}

double seconds_since(TimeNs start, TimeNs now) {
  return start == 0 || start > now ? 0 : static_cast<double>(now - start) / 1e9;
}

nlohmann::json next_start(const InstanceState& instance, TimeNs now) {
  const bool waits = instance.status == InstanceStatus::backoff ||
                     instance.status == InstanceStatus::half_open ||
                     instance.status == InstanceStatus::waiting;
  if (!waits || instance.due == time_never) return nullptr;
  return instance.due > now ? static_cast<double>(instance.due - now) / 1e6 : 0.0;
}

// How many processes of its worker wait to step in; null where none is wanted.
nlohmann::json spares_of(const StatusSources& from, const InstancePlan& plan) {
  const WorkerPlan& worker = from.plan.workers[plan.worker_index];
  if (worker.spares == 0) return nullptr;
  std::uint32_t ready = 0;
  for (Slot slot = worker.first_spare; slot < worker.first_spare + worker.spares; ++slot) {
    ready += from.supervision.instance(slot).status == InstanceStatus::ready ? 1 : 0;
  }
  return {{"wanted", worker.spares}, {"ready", ready}};
}

nlohmann::json spare_row(const StatusSources& from, Slot slot, TimeNs now) {
  const InstancePlan& plan = from.plan.instances[slot];
  const InstanceState& spare = from.supervision.instance(slot);
  return {{"name", plan.name},
          {"worker", from.plan.workers[plan.worker_index].name},
          {"state", to_string(spare.status)},
          {"pid", spare.pid != 0 ? nlohmann::json(spare.pid) : nlohmann::json()},
          {"generation", spare.generation},
          {"deaths", spare.restarts},
          {"uptime_s", spare.pid != 0 ? seconds_since(spare.started_at, now) : 0.0},
          {"rss_bytes", read_usage(spare.pid, now).rss_bytes},
          {"next_start_in_ms", next_start(spare, now)},
          {"last_exit", render_exit(spare.last_exit)},
          {"reason", reason(from.plan, from.supervision.state(), slot, now)}};
}

nlohmann::json spare_rows(const StatusSources& from, const std::string& worker, TimeNs now) {
  auto rows = nlohmann::json::array();
  for (Slot slot = from.plan.first_spare(); slot < from.plan.instances.size(); ++slot) {
    const auto& plan = from.plan.workers[from.plan.instances[slot].worker_index];
    if (worker.empty() || worker == plan.name) rows.push_back(spare_row(from, slot, now));
  }
  return rows;
}

nlohmann::json worker_row(const StatusSources& from, Slot slot, TimeNs now) {
  const InstancePlan& plan = from.plan.instances[slot];
  const InstanceState& instance = from.supervision.instance(slot);
  const Usage usage = read_usage(instance.pid, now);
  std::string why = reason(from.plan, from.supervision.state(), slot, now);
  if (const auto complaint = from.introducer.complaint(slot); !complaint.empty()) {
    why += "; " + complaint;
  }
  const auto sandbox = sandbox_of(from, slot);
  if (const auto complaint = sandbox["complaint"].get<std::string>(); !complaint.empty()) {
    why += "; " + complaint;
  }
  if (const auto complaint = from.limits.complaint(slot); !complaint.empty()) {
    why += "; " + complaint;
  }
  const GroupIndex group = from.plan.workers[plan.worker_index].group;
  return {{"name", plan.name},
          {"worker", plan.worker},
          {"index", plan.index},
          {"group",
           group != no_group ? nlohmann::json(from.plan.groups[group].name) : nlohmann::json()},
          {"state", to_string(instance.status)},
          {"pid", instance.pid != 0 ? nlohmann::json(instance.pid) : nlohmann::json()},
          {"generation", instance.generation},
          {"restarts", instance.restarts},
          {"uptime_s", instance.pid != 0 ? seconds_since(instance.started_at, now) : 0.0},
          {"rss_bytes", usage.rss_bytes},
          {"cpu_percent", usage.cpu_percent},
          {"cpu_s", usage.cpu_seconds},
          {"next_start_in_ms", next_start(instance, now)},
          {"last_exit", render_exit(instance.last_exit)},
          {"status_text",
           from.plain.speaks(slot) ? from.plain.status_text(slot) : from.desk.status_text(slot)},
          {"notify", from.plain.status(slot)},
          {"runtime", from.desk.speaks(slot)},
          {"sandbox", sandbox},
          {"limits", from.limits.status(slot, instance.pid, instance.generation)},
          {"spares", spares_of(from, plan)},
          {"reason", why}};
}

nlohmann::json internal_row(const StatusSources& from, const InternalWorker& worker, TimeNs now) {
  const std::int32_t pid = from.processes.pid(worker.slot());
  const Usage usage = read_usage(pid, now);
  return {{"name", worker.name()},
          {"worker", worker.name()},
          {"index", 0},
          {"state", pid != 0 ? "ready" : "backoff"},
          {"pid", pid != 0 ? nlohmann::json(pid) : nlohmann::json()},
          {"generation", from.processes.generation(worker.slot())},
          {"restarts", std::max(from.processes.generation(worker.slot()), 1U) - 1},
          {"uptime_s", 0.0},
          {"rss_bytes", usage.rss_bytes},
          {"cpu_percent", usage.cpu_percent},
          {"cpu_s", usage.cpu_seconds},
          {"next_start_in_ms", nullptr},
          {"last_exit", nullptr},
          {"internal", true}};
}

// Where it really listens, as one would write it into an address bar.
nlohmann::json http_address(const StatusSources& from) {
  if (!from.config.http) return nullptr;
  const auto fd = from.sockets.held(*from.config.http);
  if (!fd) return nullptr;
  return bound_address(*fd).substr(std::string_view("tcp:").size());
}

bool link_concerns(const nlohmann::json& link, const Plan& plan, const std::vector<Slot>& slots) {
  return std::any_of(slots.begin(), slots.end(), [&](Slot slot) {
    const std::string& name = plan.instances[slot].name;
    const auto& to = link["to"];  // of a topic: an array
    return link["from"] == name || to == name ||
           (to.is_array() && std::find(to.begin(), to.end(), name) != to.end());
  });
}

}  // namespace

nlohmann::json sandbox_of(const StatusSources& from, Slot slot) {
  const WorkerConfig& worker = from.config.workers[from.plan.instances[slot].worker_index];
  return sandbox_json(worker, from.config, from.desk.sandbox(slot),
                      from.supervision.instance(slot).pid);
}

Result<std::vector<Slot>> slots_named(const Plan& plan, const std::string& name) {
  std::vector<Slot> slots;
  for (Slot slot = 0; slot < plan.first_spare(); ++slot) {
    const auto& instance = plan.instances[slot];
    if (name.empty() || instance.name == name || instance.worker == name) slots.push_back(slot);
  }
  if (!slots.empty() || name.empty()) return slots;
  std::string known;
  for (const auto& worker : plan.workers) known += (known.empty() ? "" : ", ") + worker.name;
  return make_error(Errc::not_found,
                    "no worker or instance \"" + name + "\" (workers: " + known + ")");
}

Result<nlohmann::json> report_status(const StatusSources& from, const std::string& name, bool all) {
  const auto slots = slots_named(from.plan, name);
  if (!slots) return slots.error();
  const TimeNs now = base::monotonic_ns();
  auto workers = nlohmann::json::array();
  for (const Slot slot : *slots) workers.push_back(worker_row(from, slot, now));
  if (all && name.empty()) {
    for (const auto* internal : from.internals)
      workers.push_back(internal_row(from, *internal, now));
  }
  auto links = from.introducer.status();
  if (!name.empty()) {
    auto concerned = nlohmann::json::array();
    for (auto& link : links) {
      if (link_concerns(link, from.plan, *slots)) concerned.push_back(std::move(link));
    }
    links = std::move(concerned);
  }
  return nlohmann::json{{"supervisor",
                         {{"name", from.arguments.system.name},
                          {"brain_pid", ::getpid()},
                          {"keeper_pid", from.keeper.keeper_pid()},
                          {"brain_generation", from.keeper.brain_generation()},
                          {"uptime_s", seconds_since(from.keeper.started_ns(), now)},
                          {"http", http_address(from)},
                          {"config", from.configs.running().now.path},
                          {"config_serial", from.configs.running().serial},
                          {"stopping", from.supervision.state().stopping},
                          {"orphans_reaped", from.keeper.orphans_reaped()}}},
                        {"workers", std::move(workers)},
                        {"spares", spare_rows(from, name, now)},
                        {"links", std::move(links)},
                        {"sockets", from.sockets.status(from.config)}};
}

std::string name_failed(const Plan& plan, const Supervision& supervision, TimeNs now) {
  std::string failed;
  for (Slot slot = 0; slot < plan.instances.size(); ++slot) {
    if (supervision.instance(slot).status != InstanceStatus::failed) continue;
    failed += (failed.empty() ? "" : "; ") + plan.instances[slot].name + ": " +
              reason(plan, supervision.state(), slot, now);
  }
  return failed;
}

}  // namespace bulkhead::supervisor
