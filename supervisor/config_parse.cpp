// parse_config: from text to SystemConfig, or to everything that is wrong with it.
#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/nearest.hpp"
#include "supervisor/config_draft.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

using json_source::in_quotes;
using Type = json_source::Value::Type;

std::string directory_of(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  return absolute_path("/",
                       (error ? std::filesystem::path(path) : absolute).parent_path().string());
}

void read_defaults(Draft& draft, const At& at) {
  const ObjectAt section(at, config_keys::defaults);
  WorkerConfig& worker = draft.worker_defaults;
  if (const auto found = section.find("restart")) {
    read_restart(*found, worker.restart, false);
    draft.defaults_state_limit = found->value->find("limit") != nullptr;
  }
  if (const auto found = section.find("stop")) read_stop(*found, worker.stop);
  if (const auto found = section.find("logs"))
    read_logs(*found, draft.config.directory, worker.logs);
}

void read_supervisor(Draft& draft, const At& at) {
  const ObjectAt section(at, config_keys::supervisor);
  SystemConfig& into = draft.config;
  if (const auto found = section.find("max_parallel_starts")) {
    if (const auto starts = read_integer(*found, 1, 1024)) {
      into.max_parallel_starts = static_cast<std::uint32_t>(*starts);
    }
  }
  read_http(draft, section);
}

void read_version(const ObjectAt& section) {
  const auto found = section.find("version");
  if (!found) return section.missing("version", R"(expected "version": 1)");
  if (found->value->type == Type::number && found->value->text == "1") return;
  if (found->value->type == Type::number) {
    return found->wrong("unknown version " + describe(*found->value) + " (expected 1)");
  }
  found->wrong_type("number", "write 1");
}

void read_system(Draft& draft, const At& root) {
  const ObjectAt section(root, config_keys::system);
  if (root.value->type != Type::object) return;
  draft.config.max_parallel_starts = 2 * std::max(1U, std::thread::hardware_concurrency());
  if (const auto found = section.find("$schema")) read_text(*found);
  read_version(section);
  if (const auto found = section.find("name")) {
    if (const auto name = read_text(*found)) {
      check_name(found->value->at, *found, *name, "a system");
      draft.config.name = *name;
    }
  } else {
    section.missing("name", R"(expected the system's name, such as "name": "demo")");
  }
  if (const auto found = section.find("defaults")) read_defaults(draft, *found);
  if (const auto found = section.find("sockets")) read_sockets(draft, *found);
  if (const auto found = section.find("workers")) {
    read_workers(draft, *found);
  } else {
    section.missing("workers", R"(expected "workers": {"echo": {"command": ["echo-worker"]}})");
  }
  if (const auto found = section.find("groups")) read_groups(draft, *found);
  if (const auto found = section.find("links")) read_links(draft, *found);
  if (const auto found = section.find("supervisor")) read_supervisor(draft, *found);
  check_dependencies(draft);
  check_services(draft);
  check_totals(draft);
  if (draft.context.check_machine) check_machine(draft);
  for (WorkerConfig& worker : draft.config.workers) {
    if (worker.command.empty() || !worker.executable.empty()) continue;
    worker.executable = find_executable(worker.command[0], draft.config, draft.context, nullptr);
  }
}

}  // namespace

const WorkerConfig* SystemConfig::find_worker(std::string_view worker) const noexcept {
  const auto found = std::find_if(workers.begin(), workers.end(), [&](const auto& known) {
    return known.name == worker && !known.leaving;
  });
  return found == workers.end() ? nullptr : &*found;
}

const LinkConfig* SystemConfig::find_link(std::string_view link) const noexcept {
  const auto found = std::find_if(links.begin(), links.end(),
                                  [&](const auto& known) { return known.name == link; });
  return found == links.end() ? nullptr : &*found;
}

const WorkerConfig* Draft::find_worker(std::string_view name) const {
  const auto found = worker_index.find(name);
  return found == worker_index.end() ? nullptr : &config.workers[found->second];
}

std::uint64_t Draft::pairs_of(const LinkConfig& link) const {
  const WorkerConfig* from = find_worker(link.from);
  std::uint64_t pairs = 0;
  for (const std::string& name : link.to) {
    const WorkerConfig* to = find_worker(name);
    if (from != nullptr && to != nullptr) pairs += std::uint64_t{from->instances} * to->instances;
  }
  return pairs;
}

const WorkerConfig* Draft::resolve_worker(json_source::Position position, const At& at,
                                          const std::string& name) const {
  if (const WorkerConfig* worker = find_worker(name)) return worker;
  std::vector<std::string_view> names;
  for (const WorkerConfig& worker : config.workers) names.push_back(worker.name);
  const auto near = base::nearest(name, names);
  at.issues->add(position, at.pointer,
                 "unknown worker " + in_quotes(name) +
                     (near ? " (did you mean " + in_quotes(*near) + "?)"
                           : " (expected the name of a worker)"));
  return nullptr;
}

// Only "." is taken out: what ".." means depends on symbolic links.
std::string absolute_path(const std::string& directory, const std::string& path) {
  std::string plain;
  for (const auto& part : std::filesystem::path(directory) / path) {
    if (part.empty() || part == "." || part == "/") continue;
    plain += "/" + part.string();
  }
  return plain.empty() ? "/" : plain;
}

ParsedConfig parse_config(const std::string& text, const std::string& path,
                          const ParseContext& context) {
  const auto document = json_source::read(text);
  Draft draft(context);
  draft.config.path = path;
  draft.config.directory = directory_of(path);
  for (const auto& problem : document.problems)
    draft.issues.add(problem.at, problem.pointer, problem.what);
  if (document.complete) read_system(draft, At{&document.root, "", &draft.issues});
  if (!draft.issues.empty()) return draft.issues.sorted();
  return std::move(draft.config);
}

}  // namespace bulkhead::supervisor
