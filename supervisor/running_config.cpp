#include "supervisor/running_config.hpp"

#include <nlohmann/json.hpp>
#include <utility>

namespace bulkhead::supervisor {
namespace {

using Json = nlohmann::json;

Json version_json(const ConfigVersion& version) {
  return {{"path", version.path}, {"text", version.text}, {"scaled", version.scaled}};
}

ConfigVersion read_version(const Json& json) {
  ConfigVersion version;
  json.at("path").get_to(version.path);
  json.at("text").get_to(version.text);
  json.at("scaled").get_to(version.scaled);
  return version;
}

RunningConfig read(const Json& json) {
  RunningConfig running;
  json.at("serial").get_to(running.serial);
  json.at("revision").get_to(running.revision);
  running.now = read_version(json.at("now"));
  if (!json.at("before").is_null()) running.before = read_version(json.at("before"));
  for (const auto& part : json.at("leaving")) {
    running.leaving.push_back({part.at("worker"), part.at("first"), part.at("count")});
  }
  json.at("seats").get_to(running.seats);
  json.at("rolling").get_to(running.rolling);
  json.at("together").get_to(running.together);
  json.at("emptied").get_to(running.emptied);
  json.at("touched").get_to(running.touched);
  json.at("operation").get_to(running.operation);
  json.at("summary").get_to(running.summary);
  return running;
}

}  // namespace

std::string to_text(const RunningConfig& running) {
  Json leaving = Json::array();
  for (const auto& part : running.leaving) {
    leaving.push_back({{"worker", part.worker}, {"first", part.first}, {"count", part.count}});
  }
  return Json{{"serial", running.serial},
              {"revision", running.revision},
              {"now", version_json(running.now)},
              {"before", running.before ? version_json(*running.before) : Json()},
              {"leaving", std::move(leaving)},
              {"seats", running.seats},
              {"rolling", running.rolling},
              {"together", running.together},
              {"emptied", running.emptied},
              {"touched", running.touched},
              {"operation", running.operation},
              {"summary", running.summary}}
      .dump();
}

Result<RunningConfig> read_running_config(const std::string& text, const std::string& path) {
  try {
    return read(Json::parse(text));
  } catch (const Json::exception& error) {
    return make_error(
        Errc::version_mismatch,
        path + ": what is kept of the running config is of another version: " + error.what());
  }
}

Result<SystemConfig> parse_version(const ConfigVersion& version,
                                   const std::string& program_directory) {
  ParseContext context;
  context.program_directory = program_directory;
  context.check_machine = false;
  context.scaled = version.scaled;
  auto parsed = parse_config(version.text, version.path, context);
  if (const auto* issues = std::get_if<std::vector<ConfigIssue>>(&parsed)) {
    return make_error(Errc::bad_config, format_issue(version.path, issues->front()));
  }
  return std::get<SystemConfig>(std::move(parsed));
}

Result<SystemConfig> assemble(const RunningConfig& running, const std::string& program_directory) {
  auto config = parse_version(running.now, program_directory);
  if (!config || !running.before) return config;
  const auto before = parse_version(*running.before, program_directory);
  if (!before) return before.error();
  for (const auto& part : running.leaving) {
    const WorkerConfig* worker = before->find_worker(part.worker);
    if (worker == nullptr) {
      return make_error(Errc::bad_config, part.worker + " is leaving, and unknown");
    }
    WorkerConfig leaving = *worker;
    leaving.first_instance = part.first;
    leaving.instances = part.count;
    leaving.leaving = true;
    leaving.warm_spares = 0;
    leaving.depends_on.clear();
    leaving.provides.clear();
    leaving.sockets.clear();  // the config in force may not have them
    config->workers.push_back(std::move(leaving));
  }
  return config;
}

}  // namespace bulkhead::supervisor
