#include "supervisor/sandbox.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

namespace fs = std::filesystem;

// Programs and libraries of the system, as far as anybody may read them; what the dynamic linker and the C library look
// into; sources of nothing, everything and chance.
constexpr const char* system_files[] = {"/usr",
                                        "/lib",
                                        "/lib32",
                                        "/lib64",
                                        "/etc/ld.so.cache",
                                        "/etc/localtime",
                                        "/etc/timezone",
                                        "/dev/zero",
                                        "/dev/full",
                                        "/dev/random",
                                        "/dev/urandom",
                                        "/sys/devices/system/cpu"};

fs::path resolved(const std::string& path) {
  std::error_code failed;
  auto canonical = fs::weakly_canonical(path, failed);
  return failed ? fs::path(path).lexically_normal() : canonical;
}

bool lies_in(const fs::path& path, const fs::path& directory) {
  auto part = path.begin();
  for (const auto& wanted : directory) {
    if (wanted.empty()) continue;  // after the last slash
    if (part == path.end() || *part != wanted) return false;
    ++part;
  }
  return true;
}

// What proc(5) says of the process, in which the worker has no say.
struct KernelView {
  bool no_new_privs = false, filtered = false;
};

KernelView look_at(std::int32_t pid) {
  KernelView view;
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("NoNewPrivs:")) view.no_new_privs = line.ends_with("1");
    if (line.starts_with("Seccomp:")) view.filtered = line.ends_with("2");
  }
  return view;
}

}  // namespace

ipc::SandboxInstall sandbox_files(const WorkerConfig& worker, const SystemConfig& config) {
  ipc::SandboxInstall files;
  files.read.assign(std::begin(system_files), std::end(system_files));
  const fs::path program = resolved(worker.executable), own = resolved(worker.working_dir);
  const fs::path directory = resolved(config.directory);
  const auto add = [](std::vector<std::string>& list, const fs::path& path) {
    if (std::find(list.begin(), list.end(), path.string()) == list.end()) {
      list.push_back(path.string());
    }
  };
  add(files.read, program.parent_path());
  add(files.read, directory);
  add(files.write, "/dev/null");
  const bool decides = lies_in(directory, own) || lies_in(program, own);
  add(decides ? files.read : files.write, own);
  return files;
}

nlohmann::json sandbox_json(const WorkerConfig& worker, const SystemConfig& config,
                            const std::optional<ipc::SandboxInstalled>& told, std::int32_t pid) {
  auto in_effect = nlohmann::json::array(), refused = nlohmann::json::array();
  nlohmann::json json{{"level", config_keys::word(config_keys::sandbox, worker.sandbox)}};
  if (worker.sandbox != Sandbox::none && pid != 0) {
    const KernelView view = look_at(pid);
    const auto note = [&](bool holds, const char* what) {
      if (holds) {
        in_effect.push_back(what);
      } else {
        refused.push_back(std::string(what) + ": the kernel does not show it on this process");
      }
    };
    note(view.no_new_privs, "no_new_privs");
    if (worker.limits.core.value_or(0) == 0) in_effect.push_back("no_core");
    if (worker.sandbox == Sandbox::strict && !told) {
      refused.push_back(
          "seccomp, landlock: the program has not said that it put them in force, which the "
          "runtime does when it starts; \"basic\" is for other programs");
    } else if (worker.sandbox == Sandbox::strict) {
      for (const auto& what : told->in_effect) {
        if (what != "seccomp") in_effect.push_back(what);
      }
      note(view.filtered, "seccomp");
      for (const auto& what : told->refused) refused.push_back(what);
    }
  }
  json["in_effect"] = std::move(in_effect);
  std::string complaint;
  for (const auto& refusal : refused) {
    complaint += (complaint.empty() ? "sandbox: " : "; ") + refusal.get<std::string>();
  }
  json["complaint"] = std::move(complaint);
  json["refused"] = std::move(refused);
  if (worker.sandbox == Sandbox::strict) {
    const auto files = sandbox_files(worker, config);
    json["read"] = files.read;
    json["write"] = files.write;
  }
  return json;
}

}  // namespace bulkhead::supervisor
