// The config with every default filled in: what parse_config would read as the same config.
#include <nlohmann/json.hpp>

#include "base/runtime_dir.hpp"
#include "base/units.hpp"
#include "supervisor/config.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

using Json = nlohmann::ordered_json;
using base::format_duration;
using base::format_size;

Json limit_json(const std::optional<RestartLimit>& limit) {
  if (!limit) return "none";
  return {{"count", limit->count},
          {"within", format_duration(limit->within)},
          {"then", config_keys::word(config_keys::limit_then, limit->then)}};
}

Json restart_json(const Restart& restart) {
  const Backoff& backoff = restart.backoff;
  return {{"policy", config_keys::word(config_keys::restart_policy, restart.policy)},
          {"backoff",
           {{"initial", format_duration(backoff.initial)},
            {"max", format_duration(backoff.max)},
            {"factor", backoff.factor},
            {"jitter", backoff.jitter},
            {"reset_after", format_duration(backoff.reset_after)}}},
          {"limit", limit_json(restart.limit)}};
}

Json ready_json(const Ready& ready) {
  Json json{{"type", config_keys::word(config_keys::ready_type, ready.type)},
            {"timeout", format_duration(ready.timeout)}};
  if (ready.type == ReadyType::port) json["port"] = ready.port;
  if (ready.type == ReadyType::fd) json["fd"] = ready.fd;
  return json;
}

Json stop_json(const Stop& stop) {
  return {{"signal", config_keys::word(config_keys::stop_signal, stop.signal)},
          {"timeout", format_duration(stop.timeout)}};
}

Json logs_json(const Logs& logs, const std::string& system) {
  const std::string usual = base::runtime_directory() + "/" + system + "/logs";
  return {{"directory", logs.directory.empty() ? usual : logs.directory},
          {"max_size", format_size(logs.max_size)},
          {"keep", logs.keep},
          {"overflow", config_keys::word(config_keys::log_overflow, logs.overflow)}};
}

Json limits_json(const Limits& limits) {
  Json json = Json::object();
  if (limits.memory) json["memory"] = format_size(*limits.memory);
  if (limits.nofile) json["nofile"] = *limits.nofile;
  if (limits.cpu) json["cpu"] = format_duration(*limits.cpu);
  if (limits.core) json["core"] = format_size(*limits.core);
  if (limits.pids) json["pids"] = *limits.pids;
  return json.empty() ? Json("none") : json;
}

Json cpu_json(const WorkerConfig& worker) {
  Json json = Json::object();
  switch (worker.affinity.kind) {
    case Affinity::Kind::none: json["affinity"] = "none"; break;
    case Affinity::Kind::spread: json["affinity"] = "spread"; break;
    case Affinity::Kind::fixed: json["affinity"] = worker.affinity.cpus; break;
  }
  if (worker.nice) json["nice"] = *worker.nice;  // absent: as the supervisor's own
  return json;
}

Json provides_json(const std::vector<Provided>& provides) {
  Json json = Json::array();
  for (const Provided& service : provides) {
    json.push_back({{"name", service.name},
                    {"transport", config_keys::word(config_keys::transport, service.transport)}});
  }
  return json;
}

Json worker_json(const WorkerConfig& worker, const std::string& system) {
  Json depends_on = Json::object(), env = Json::object();
  for (const auto& [name, condition] : worker.depends_on) {
    depends_on[name] = config_keys::word(config_keys::depends_on, condition);
  }
  for (const auto& [name, value] : worker.env) env[name] = value;
  Json json{{"command", worker.command},
            {"instances", worker.instances},
            {"kind", config_keys::word(config_keys::worker_kind, worker.kind)},
            {"significant", config_keys::word(config_keys::significant, worker.significant)},
            {"ready", ready_json(worker.ready)},
            {"watchdog", "none"},
            {"depends_on", depends_on},
            {"restart", restart_json(worker.restart)},
            {"stop", stop_json(worker.stop)},
            {"logs", logs_json(worker.logs, system)},
            {"env", env},
            {"working_dir", worker.working_dir},
            {"limits", limits_json(worker.limits)},
            {"cpu", cpu_json(worker)},
            {"sandbox", config_keys::word(config_keys::sandbox, worker.sandbox)},
            {"contain", config_keys::word(config_keys::contain, worker.contain)},
            {"warm_spares", worker.warm_spares},
            {"runtime", worker.runtime},
            {"provides", provides_json(worker.provides)},
            {"sockets", worker.sockets}};
  if (worker.kind == WorkerKind::scheduled) json["every"] = format_duration(worker.every);
  if (worker.watchdog) json["watchdog"] = {{"timeout", format_duration(*worker.watchdog)}};
  if (!worker.user.empty()) json["user"] = worker.user;
  if (worker.runtime) json["config"] = Json::parse(worker.config_json);
  return json;
}

Json group_json(const GroupConfig& group) {
  return {{"strategy", config_keys::word(config_keys::group_strategy, group.strategy)},
          {"members", group.members},
          {"limit", limit_json(group.limit)}};
}

// A channel's is its only receiver; a topic's subscribers show their own policies, whatever the link says.
Json receivers_json(const LinkConfig& link) {
  if (link.type != LinkType::topic) return link.to.front();
  Json subscribers = Json::array();
  for (std::size_t i = 0; i < link.to.size(); ++i) {
    subscribers.push_back(
        {{"worker", link.to[i]},
         {"overflow", config_keys::word(config_keys::overflow, link.policies[i].overflow)},
         {"history", link.policies[i].history}});
  }
  return subscribers;
}

Json link_json(const LinkConfig& link) {
  Json json{{"type", config_keys::word(config_keys::link_type, link.type)},
            {"from", link.from},
            {"to", receivers_json(link)},
            {"transport", config_keys::word(config_keys::transport, link.transport)},
            {"capacity", format_size(link.options.capacity)},
            {"max_message", format_size(link.options.max_message)},
            {"wait", config_keys::word(config_keys::wait_mode, link.options.wait)},
            {"overflow", "block"}};
  if (link.type != LinkType::queue) json["history"] = 0;
  if (link.type == LinkType::queue) {
    json["max_attempts"] = link.max_attempts;
    json["lease_timeout"] = link.lease_timeout ? format_duration(*link.lease_timeout) : "none";
  }
  return json;
}

}  // namespace

Json effective_json(const SystemConfig& config) {
  Json workers = Json::object(), groups = Json::object(), links = Json::object();
  for (const WorkerConfig& worker : config.workers)
    workers[worker.name] = worker_json(worker, config.name);
  for (const GroupConfig& group : config.groups) groups[group.name] = group_json(group);
  for (const LinkConfig& link : config.links) links[link.name] = link_json(link);
  Json sockets = Json::object();
  for (const SocketConfig& socket : config.sockets) {
    sockets[socket.name] = {{"listen", socket.listen}};
  }
  Json supervisor{{"max_parallel_starts", config.max_parallel_starts}};
  if (config.http) supervisor["http"] = config.http->listen;
  supervisor["http_hosts"] = config.http_hosts;
  return {{"version", 1},   {"name", config.name}, {"workers", workers},      {"groups", groups},
          {"links", links}, {"sockets", sockets},  {"supervisor", supervisor}};
}

}  // namespace bulkhead::supervisor
