// A whole system, run as a user runs it, in a runtime directory of its own: `bulkhead run CONFIG` with
// real keeper, brain, logger and workers. Used by the process tests about supervision.
#pragma once

#include <bulkhead/connection.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/child_process.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::test {

struct ConfigFile {
  std::filesystem::path path;
};

// Threads: one. Every wait ends by an event or by the watchdog (30 s), which throws.
class RunningSystem {
 public:
  // Writes `config` (JSON) into the directory and starts it; `name` is the config's name.
  // `through` are the words of a command that executes what follows it; none: `bulkhead` itself.
  RunningSystem(const std::string& name, const std::string& config,
                std::vector<std::string> through = {});
  // Starts a config file where it lies.
  RunningSystem(const std::string& name, const ConfigFile& file);
  ~RunningSystem();  // SIGKILLs what is left
  RunningSystem(const RunningSystem&) = delete;
  RunningSystem& operator=(const RunningSystem&) = delete;

  nlohmann::json request(const std::string& method,
                         nlohmann::json params = nlohmann::json::object());
  Result<nlohmann::json> try_request(const std::string& method, nlohmann::json params);
  nlohmann::json status() { return request("status"); }
  nlohmann::json worker(const std::string& instance);
  nlohmann::json link(const std::string& name);
  Connection& connection();

  // Waits until `holds` is true of the status, looking again after each event.
  nlohmann::json await(const std::function<bool(const nlohmann::json& status)>& holds,
                       const std::string& what);
  void await_all_ready();
  // The instance runs in another process than `pid`, and is ready.
  nlohmann::json await_reborn(const std::string& instance, int pid);

  int keeper_pid() const { return keeper_.pid(); }
  int brain_pid();  // of the brain that answers now
  void kill_brain();
  base::ExitStatus await_end();  // of the keeper
  void start_again();            // the same config in the same directory, after an end
  base::ChildProcess& keeper() { return keeper_; }

  // Pids that carry the system's runtime directory in their environment: all of its processes.
  std::set<int> processes() const;
  void await_no_process();

  const TemporaryDirectory& directory() const { return *directory_; }
  std::string output() const;  // what `run` printed so far
  std::vector<nlohmann::json> events_of(const std::string& instance, const std::string& type);

 private:
  base::ChildProcess start() const;

  std::unique_ptr<TemporaryDirectory> directory_;
  std::string name_;
  std::string config_path_;
  std::vector<std::string> through_;
  base::ChildProcess keeper_;
  std::optional<Connection> connection_;
};

// Instances of a status, in a given state.
bool all_ready(const nlohmann::json& status);
nlohmann::json row(const nlohmann::json& status, const std::string& instance);
std::map<std::string, int> pids(const nlohmann::json& status);  // by instance

}  // namespace bulkhead::test
