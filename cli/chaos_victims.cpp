#include "cli/chaos_victims.hpp"

#include <algorithm>
#include <variant>

#include "cli/system.hpp"
#include "supervisor/config.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;

bool has_links(const json& status, const std::string& name) {
  return std::any_of(status["links"].begin(), status["links"].end(), [&](const json& link) {
    const json& to = link["to"];  // of a topic: an array
    return link["from"] == name || to == name ||
           (to.is_array() && std::find(to.begin(), to.end(), name) != to.end());
  });
}

}  // namespace

Result<std::vector<Victim>> find_victims(Connection& system, const json& status,
                                         bool with_supervisor) {
  const auto source = system.request("config", json::object(), Deadline::in(answer_timeout));
  if (!source) return source.error();
  supervisor::ParseContext context;
  context.program_directory = program_directory();
  context.check_machine = false;
  const auto parsed = supervisor::parse_config(source->at("text"), source->at("path"), context);
  const auto* const config = std::get_if<supervisor::SystemConfig>(&parsed);
  if (config == nullptr) {
    return make_error(Errc::bad_config,
                      "the config in force is of another version than this command");
  }
  std::vector<Victim> victims;
  for (const auto& row : status["workers"]) {
    const auto* const worker = config->find_worker(row["worker"].get<std::string>());
    const bool is_service = worker != nullptr && worker->kind == supervisor::WorkerKind::service;
    if (!is_service || row["state"] != "ready") continue;
    const bool has_runtime = row.value("runtime", false);
    victims.push_back({row["name"],
                       {.is_watched = worker->watchdog.has_value(),
                        .has_runtime = has_runtime,
                        .has_links = has_runtime && has_links(status, row["name"])}});
  }
  if (with_supervisor) {
    victims.push_back({"brain", {.is_watched = true}});
    victims.push_back({"logger", {}});
  }
  return victims;
}

const json* find_worker(const json& status, const std::string& name) {
  for (const auto& row : status["workers"]) {
    if (row["name"] == name) return &row;
  }
  return nullptr;
}

int pid_of(const json& status, const std::string& victim) {
  if (victim == "brain") return status["supervisor"]["brain_pid"];
  const json* const row = find_worker(status, victim);
  return row != nullptr && row->at("pid").is_number() ? row->at("pid").get<int>() : 0;
}

}  // namespace bulkhead::cli
