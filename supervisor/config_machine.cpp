// What only this machine can say about a config: programs, directories, users, CPUs, limits. Nothing of
// it is asked again by a brain that re-reads a config which was checked at the start.
#include <dirent.h>
#include <pwd.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "base/nearest.hpp"
#include "base/pid_namespace.hpp"
#include "base/seccomp.hpp"
#include "supervisor/config_draft.hpp"
#include "supervisor/descriptor_needs.hpp"
#include "supervisor/expansion.hpp"

namespace bulkhead::supervisor {
namespace {

using json_source::in_quotes;

// Descriptors of one worker process: its first ones, and per link its segment, the connection (on a pipe two), a
// doorbell, and two bells of its own.
constexpr std::uint64_t worker_base = 16, worker_per_pair = 6;

enum class Found { program, nothing, directory, not_executable, unreachable };

Found look_at(const std::string& path, int* error_number) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    *error_number = errno;
    return errno == ENOENT ? Found::nothing : Found::unreachable;
  }
  if (S_ISDIR(status.st_mode)) return Found::directory;
  return ::access(path.c_str(), X_OK) == 0 ? Found::program : Found::not_executable;
}

std::string explain(Found found, const std::string& path, int error_number) {
  switch (found) {
    case Found::program: return "";
    case Found::nothing: return "there is no " + path + " (expected a program there)";
    case Found::directory: return path + " is a directory (expected a program)";
    case Found::not_executable: return path + " is not executable (chmod +x it)";
    case Found::unreachable: break;
  }
  return path + " cannot be reached: " + std::strerror(error_number) +
         " (expected a program there)";
}

std::vector<std::string> search_path(const std::string& program_directory) {
  std::vector<std::string> directories;
  if (!program_directory.empty()) directories.push_back(program_directory);
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::size_t end = rest.find(':');
    if (end != 0)
      directories.push_back(rest.substr(0, end));  // an empty entry, "here", is no place to search
    rest.erase(0, end == std::string::npos ? end : end + 1);
  }
  return directories;
}

std::optional<std::string> nearest_program(const std::string& name, const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), &::closedir);
  if (listing == nullptr) return std::nullopt;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(listing.get())) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return base::nearest(name, {names.begin(), names.end()});
}

std::string search(const std::string& name, const ParseContext& context, std::string* problem) {
  std::string not_executable;
  for (const std::string& directory : search_path(context.program_directory)) {
    const std::string path = absolute_path(directory, name);
    int error_number = 0;
    const Found found = look_at(path, &error_number);
    if (found == Found::program) return path;
    if (found == Found::not_executable && not_executable.empty()) not_executable = path;
  }
  if (problem != nullptr) {
    const auto near = nearest_program(name, context.program_directory);
    *problem = !not_executable.empty() ? explain(Found::not_executable, not_executable, 0)
               : near
                   ? in_quotes(name) + " is not found beside bulkhead or in PATH (did you mean " +
                         in_quotes(*near) + "?)"
                   : in_quotes(name) +
                         " is not found beside bulkhead or in PATH (install it, or write a "
                         "path; \"./" +
                         json_source::printable(name) + "\" is beside the config file)";
  }
  return !not_executable.empty() ? not_executable : absolute_path(context.program_directory, name);
}

void check_directory(const At& at, const std::string& path, std::string_view what) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    const bool absent = errno == ENOENT;
    at.wrong(absent ? "there is no directory " + path + " (create it, or name another " +
                          std::string(what) + ")"
                    : path + " cannot be reached: " + std::strerror(errno) +
                          " (expected a directory)");
  } else if (!S_ISDIR(status.st_mode)) {
    at.wrong(path + " is no directory (expected one as " + std::string(what) + ")");
  } else if (::access(path.c_str(), X_OK) != 0) {
    at.wrong(path + " may not be entered: " + std::strerror(errno) +
             " (expected a directory that we may enter)");
  }
}

void check_user(const At& at, const std::string& name) {
  std::vector<char> buffer(1 << 16);
  passwd entry{}, *found = nullptr;
  const int error = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    const std::string why =
        error == 0 ? "unknown user " : std::string(std::strerror(error)) + " about user ";
    at.wrong(why + in_quotes(name) + " (expected a user of this machine)");
  } else if (::geteuid() != 0 && found->pw_uid != ::geteuid()) {
    at.wrong("only root may run a worker as " + in_quotes(name) +
             " (run bulkhead as root, or remove it)");
  }
}

std::uint64_t hard_limit_of_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return RLIM_INFINITY;
  return limit.rlim_max;
}

// Root may raise its hard limit, up to what the kernel has room for.
std::uint64_t highest_nofile() {
  if (::geteuid() != 0) return hard_limit_of_descriptors();
  std::uint64_t most = RLIM_INFINITY;
  std::ifstream("/proc/sys/fs/nr_open") >> most;
  return most;
}

void check_cpus(const At& cpu, const WorkerConfig& worker) {
  if (const auto* affinity = cpu.value->find("affinity")) {
    cpu_set_t ours;
    CPU_ZERO(&ours);
    if (::sched_getaffinity(0, sizeof ours, &ours) == 0) {
      for (const int number : worker.affinity.cpus) {
        if (CPU_ISSET(static_cast<std::size_t>(number), &ours)) continue;
        cpu.member(*affinity).wrong("CPU " + std::to_string(number) +
                                    " is not ours to use (this process has " +
                                    std::to_string(CPU_COUNT(&ours)) + " CPUs, numbered from 0)");
      }
    }
  }
  const auto* nice = cpu.value->find("nice");
  if (nice == nullptr || !worker.nice || ::geteuid() == 0) return;
  rlimit limit{};
  ::getrlimit(RLIMIT_NICE, &limit);  // 20 - nice: getrlimit(2)
  const int ours = ::getpriority(PRIO_PROCESS, 0);
  const int lowest = std::min(ours, 20 - static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 40)));
  if (*worker.nice < lowest) {
    cpu.member(*nice).wrong("only root may set nice " + std::to_string(*worker.nice) +
                            " (expected " + std::to_string(lowest) + " or more)");
  }
}

void check_program(Draft& draft, const At& at, WorkerConfig& worker) {
  const auto* command = at.value->find("command");
  if (command == nullptr || worker.command.empty() || worker.command[0].empty()) return;
  if (worker.command[0].find("${index}") != std::string::npos) return;  // reported already
  const auto program = expand(worker.command[0], 0);
  if (!program) return;  // reported where the variables were checked
  std::string problem;
  worker.executable = find_executable(*program, draft.config, draft.context, &problem);
  if (!problem.empty()) at.member(*command).element(0).wrong(problem);
}

// Links that one instance of the worker holds an end of.
std::uint64_t ends_of(const Draft& draft, const WorkerConfig& worker) {
  std::uint64_t ends = 0;
  for (const LinkConfig& link : draft.config.links) {
    const WorkerConfig* const from = draft.find_worker(link.from);
    if (link.from == worker.name) {
      ends += draft.pairs_of(link) / worker.instances;
    } else if (from != nullptr &&
               std::find(link.to.begin(), link.to.end(), worker.name) != link.to.end()) {
      ends += from->instances;
    }
  }
  return ends;
}

void check_nofile(const Draft& draft, const At& at, const WorkerConfig& worker) {
  if (!worker.limits.nofile) return;
  const At limits = at.member(*at.value->find("limits"));
  const At nofile = limits.member(*limits.value->find("nofile"));
  const std::uint64_t most = highest_nofile(), ends = ends_of(draft, worker);
  const std::uint64_t needed = worker_base + worker_per_pair * ends;
  if (*worker.limits.nofile > most) {
    nofile.wrong(describe(*nofile.value) +
                 " descriptors are more than this system allows (expected at most " +
                 std::to_string(most) + ", or a higher hard limit: ulimit -Hn)");
  } else if (ends != 0 && *worker.limits.nofile < needed) {
    nofile.wrong(describe(*nofile.value) + " descriptors are too few for " + std::to_string(ends) +
                 " links of an instance (expected " + std::to_string(needed) + " or more)");
  }
}

void check_descriptors(Draft& draft) {
  std::uint64_t instances = 0, places = 0, pairs = 0;
  for (const WorkerConfig& worker : draft.config.workers) {
    const std::uint64_t processes = worker.instances + worker.warm_spares;
    instances += processes;
    places += processes * places_of_instance(worker.runtime, worker.watchdog.has_value());
  }
  for (const LinkConfig& link : draft.config.links) pairs += draft.pairs_of(link);
  const std::uint64_t needed = brain_descriptors(places, instances, pairs);
  const std::uint64_t allowed = hard_limit_of_descriptors();
  if (needed <= allowed || draft.worker_at.empty()) return;
  // The worker with the most instances is the first place to look.
  const auto& workers = draft.config.workers;
  const auto most =
      std::max_element(workers.begin(), workers.end(),
                       [](const auto& a, const auto& b) { return a.instances < b.instances; });
  At at = draft.worker_at[static_cast<std::size_t>(most - workers.begin())];
  if (const auto* count = at.value->find("instances")) at = at.member(*count);
  at.wrong(std::to_string(instances) + " instances and " + std::to_string(pairs) +
           " pairs of link ends need about " + std::to_string(needed) +
           " descriptors, the hard limit is " + std::to_string(allowed) +
           " (raise it with ulimit -n " + std::to_string(needed) + ", or have fewer instances)");
}

void check_worker(Draft& draft, const At& at, WorkerConfig& worker) {
  if (at.value->type != json_source::Value::Type::object) return;
  check_program(draft, at, worker);
  if (const auto* found = at.value->find("working_dir");
      found != nullptr && !found->value.text.empty()) {
    check_directory(at.member(*found), worker.working_dir, "working_dir");
  }
  if (const auto* found = at.value->find("user"); found != nullptr && !worker.user.empty()) {
    check_user(at.member(*found), worker.user);
  }
  if (const auto* found = at.value->find("cpu")) check_cpus(at.member(*found), worker);
  if (worker.sandbox == Sandbox::strict && !base::seccomp_offered()) {
    at.member(*at.value->find("sandbox"))
        .wrong(
            "this kernel takes no filter of system calls (seccomp, Linux 4.14 or later, and not "
            "within a container that refuses it): write \"basic\"");
  }
  if (worker.contain == Contain::pidns) {
    if (const auto tried = base::try_pid_namespace(); !tried) {
      at.member(*at.value->find("contain"))
          .wrong("no pid namespace to be had here: " + tried.error().to_string() +
                 "; or write \"none\"");
    }
  }
  check_nofile(draft, at, worker);
}

}  // namespace

std::string find_executable(const std::string& program, const SystemConfig& config,
                            const ParseContext& context, std::string* problem) {
  if (program.find('/') == std::string::npos) return search(program, context, problem);
  std::string path = absolute_path(config.directory, program);
  int error_number = 0;
  const Found found = look_at(path, &error_number);
  if (problem != nullptr) *problem = explain(found, json_source::printable(path), error_number);
  return path;
}

void check_machine(Draft& draft) {
  for (std::size_t i = 0; i < draft.config.workers.size(); ++i) {
    check_worker(draft, draft.worker_at[i], draft.config.workers[i]);
  }
  check_descriptors(draft);
}

}  // namespace bulkhead::supervisor
