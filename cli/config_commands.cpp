// `check`, `schema`, `defaults`: what can be said about a config without starting anything. Also
// reads the config for `run`.
#include "cli/config_commands.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>

#include "cli/commands.hpp"
#include "cli/system.hpp"
#include "supervisor/config_file.hpp"

namespace bulkhead::cli {

namespace {

// The system itself may be who listens there.
bool is_served_there_already(const supervisor::SystemConfig& system) {
  auto running = connect(system.name, Deadline::in(answer_timeout));
  if (!running) return false;
  const auto status =
      running->request("status", nlohmann::json::object(), Deadline::in(answer_timeout));
  if (!status) return false;
  const auto supervisor = status->find("supervisor");
  return supervisor != status->end() &&
         supervisor->value("http", nlohmann::json()) == system.http->listen;
}

// What was wrong is printed then.
std::variant<supervisor::SystemConfig, Outcome> parse(const std::string& text,
                                                      const std::string& path,
                                                      const supervisor::ParseContext& context) {
  auto parsed = supervisor::parse_config(text, path, context);
  if (const auto* issues = std::get_if<std::vector<supervisor::ConfigIssue>>(&parsed)) {
    for (const auto& issue : *issues) {
      std::fprintf(stderr, "%s\n", supervisor::format_issue(path, issue).c_str());
    }
    return Outcome::bad_config;
  }
  return std::get<supervisor::SystemConfig>(std::move(parsed));
}

}  // namespace

std::variant<CheckedConfig, Outcome> read_config(const std::string& path, bool for_this_machine) {
  auto text = supervisor::read_config_text(path);
  if (!text) {
    // Not "not permitted": exit code 78 also covers a config that cannot be read.
    return complain(Outcome::bad_config, path + ": " + text.error().context);
  }
  auto parsed = parse(*text, path, {program_directory(), for_this_machine});
  if (const auto* outcome = std::get_if<Outcome>(&parsed)) return *outcome;
  return CheckedConfig{std::move(*text), std::get<supervisor::SystemConfig>(std::move(parsed))};
}

Outcome check(const std::string& path) {
  const auto config = read_config(path);
  if (const auto* outcome = std::get_if<Outcome>(&config)) return *outcome;
  const auto& [text, system] = std::get<CheckedConfig>(config);
  if (system.http && !is_served_there_already(system)) {
    supervisor::ParseContext context{program_directory(), true};
    context.check_ports = true;
    const auto again = parse(text, path, context);
    if (const auto* outcome = std::get_if<Outcome>(&again)) return *outcome;
  }
  std::size_t instances = 0;
  for (const auto& worker : system.workers) instances += worker.instances;
  std::printf("%s: good: system %s, %zu workers in %zu instances, %zu links\n", path.c_str(),
              system.name.c_str(), system.workers.size(), instances, system.links.size());
  return Outcome::done;
}

Outcome effective_defaults(const std::string& path) {
  const auto config = read_config(path);
  if (const auto* outcome = std::get_if<Outcome>(&config)) return *outcome;
  const auto& system = std::get<CheckedConfig>(config).system;
  std::printf("%s\n", supervisor::effective_json(system).dump(2).c_str());
  return Outcome::done;
}

Outcome schema() {
  const std::string_view text = supervisor::config_schema();
  std::fwrite(text.data(), 1, text.size(), stdout);
  return Outcome::done;
}

}  // namespace bulkhead::cli
