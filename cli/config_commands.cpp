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

std::variant<CheckedConfig, Outcome> read_config(const std::string& path, bool for_this_machine) {
  auto text = supervisor::read_config_text(path);
  if (!text) {
    // Not "not permitted": exit code 78 also covers a config that cannot be read.
    return complain(Outcome::bad_config, path + ": " + text.error().context);
  }
  auto parsed = supervisor::parse_config(*text, path, {program_directory(), for_this_machine});
  if (auto* issues = std::get_if<std::vector<supervisor::ConfigIssue>>(&parsed)) {
    for (const auto& issue : *issues) {
      std::fprintf(stderr, "%s\n", supervisor::format_issue(path, issue).c_str());
    }
    return Outcome::bad_config;
  }
  return CheckedConfig{std::move(*text), std::get<supervisor::SystemConfig>(std::move(parsed))};
}

Outcome check(const std::string& path) {
  const auto config = read_config(path);
  if (const auto* outcome = std::get_if<Outcome>(&config)) return *outcome;
  const auto& system = std::get<CheckedConfig>(config).system;
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
