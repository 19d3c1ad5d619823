// `plan`, `reload`, `scale`: another config for a system that runs.
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/config_commands.hpp"
#include "cli/system.hpp"
#include "cli/terminal.hpp"

namespace bulkhead::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// As `check` would judge it. "" means the file that the system was started with, or was given last.
std::variant<json, Outcome> read_request(Connection& system, std::string path) {
  if (path.empty()) {
    const auto running = system.request("config", json::object(), Deadline::in(answer_timeout));
    if (!running) return complain(running.error());
    path = running->value("path", "");
  }
  auto config = read_config(path);
  if (const auto* outcome = std::get_if<Outcome>(&config)) return *outcome;
  return json{{"path", fs::absolute(path).string()},
              {"text", std::move(std::get<CheckedConfig>(config).text)}};
}

std::string change_text(const json& change) {
  const auto value = [](const json& of) { return of.is_null() ? "absent" : of.dump(); };
  return change.value("key", "") + ": " + value(change.at("was")) + " -> " + value(change.at("is"));
}

std::vector<std::string> lines_of(const json& entry) {
  std::vector<std::string> lines;
  const auto add = [&](const char* key, const char* after) {
    for (const auto& change : entry.value(key, json::array())) {
      lines.push_back(change_text(change) + after);
    }
  };
  add("restarts_for", "");
  add("keys", "");
  for (const auto& why : entry.value("given", json::array())) lines.push_back(why);
  add("in_place", " (in place)");
  const auto instances = entry.value("instances", json::object());
  const auto was = instances.value("was", 0U), is = instances.value("is", 0U);
  if (was != is && was != 0 && is != 0) {
    lines.push_back("instances: " + std::to_string(was) + " -> " + std::to_string(is));
  }
  if (entry.value("together", false)) {
    lines.push_back("together with all that share its changed links: they stop before any starts");
  }
  if (entry.value("discards", false)) lines.push_back("what is undelivered on it is let go");
  return lines;
}

void print_entries(const json& entries, const std::string& what) {
  for (const auto& entry : entries) {
    const std::string head = what + entry.value("name", "") + "  " + entry.value("action", "");
    std::printf("%s\n", printable(head).c_str());
    for (const auto& line : lines_of(entry)) std::printf("    %s\n", printable(line).c_str());
  }
}

Outcome put_in_force(Connection& system, const char* method, json request) {
  const auto answer = system.request(method, std::move(request));
  if (!answer) return complain(answer.error());
  std::printf("%s: %s\n", system.system().name.c_str(),
              printable(answer->value("summary", "")).c_str());
  return Outcome::done;
}

}  // namespace

Outcome plan(const SystemChoice& choice, const PlanOptions& options) {
  auto system = reach(choice);
  if (!system) return complain(system.error());
  auto request = read_request(*system, options.config);
  if (const auto* outcome = std::get_if<Outcome>(&request)) return *outcome;
  const auto plan =
      system->request("plan", std::get<json>(std::move(request)), Deadline::in(answer_timeout));
  if (!plan) return complain(plan.error());
  if (options.json) {
    std::printf("%s\n", plan->dump().c_str());
    return Outcome::done;
  }
  std::printf("%s: %s\n", system->system().name.c_str(),
              printable(plan->value("summary", "")).c_str());
  print_entries(plan->value("workers", json::array()), "worker ");
  print_entries(plan->value("links", json::array()), "link ");
  print_entries(plan->value("sockets", json::array()), "socket ");
  for (const auto& change : plan->value("supervisor", json::array())) {
    std::printf("%s (in place)\n", printable(change_text(change)).c_str());
  }
  return Outcome::done;
}

Outcome reload(const SystemChoice& choice, const std::string& config) {
  auto system = reach(choice);
  if (!system) return complain(system.error());
  auto request = read_request(*system, config);
  if (const auto* outcome = std::get_if<Outcome>(&request)) return *outcome;
  return put_in_force(*system, "reload", std::get<json>(std::move(request)));
}

Outcome scale(const SystemChoice& choice, const ScaleOptions& options) {
  auto system = reach(choice);
  if (!system) return complain(system.error());
  return put_in_force(*system, "scale", {{"name", options.name}, {"instances", options.instances}});
}

}  // namespace bulkhead::cli
