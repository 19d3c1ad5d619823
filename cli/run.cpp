// `run`: checks the config and becomes the keeper; with --detach a child does.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/fd.hpp"
#include "base/runtime_dir.hpp"
#include "cli/commands.hpp"
#include "cli/config_commands.hpp"
#include "cli/log_tail.hpp"
#include "cli/system.hpp"
#include "supervisor/launch.hpp"

namespace bulkhead::cli {
namespace {

namespace fs = std::filesystem;
using supervisor::LaunchRequest;

LaunchRequest launch_request(const SystemChoice& choice, const RunOptions& options,
                             CheckedConfig config) {
  LaunchRequest request;
  request.name = choice.name.empty() ? config.system.name : choice.name;
  request.runtime_dir = base::runtime_directory();
  request.control_path = choice.control.empty() ? "" : fs::absolute(choice.control).string();
  request.program_directory = program_directory();
  request.config = {fs::absolute(options.config).string(), std::move(config.text)};
  request.log_format = options.json_log ? supervisor::LogFormat::json : supervisor::LogFormat::text;
  request.detached = options.detach;
  return request;
}

std::string supervisor_log(const LaunchRequest& request) {
  return request.runtime_dir + "/" + request.name + "/supervisor.log";
}

Result<base::UniqueFd> open_log(const std::string& path) {
  std::error_code error;  // open() tells of it
  fs::create_directories(fs::path(path).parent_path(), error);
  base::UniqueFd log{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
  if (!log.is_open()) return errno_error(errno, path);
  return log;
}

// A session of its own, and nothing of the terminal. Returns only when it failed.
Error become_detached_keeper(const LaunchRequest& request) {
  // First of all, since it makes the runtime directory, closed to others.
  auto spec = supervisor::prepare_launch(request);
  if (!spec) return spec.error();
  const auto log = open_log(supervisor_log(request));
  if (!log) {
    supervisor::withdraw(*spec);
    return log.error();
  }
  const base::UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  ::setsid();
  ::dup2(null.get(), STDIN_FILENO);
  ::dup2(log->get(), STDOUT_FILENO);
  ::dup2(log->get(), STDERR_FILENO);
  return supervisor::exec_keeper(std::move(*spec));
}

// Tells a failure through `report_to`, which an exec closes.
[[noreturn]] void detached_child(const LaunchRequest& request, int report_to) {
  const Error error = become_detached_keeper(request);
  const auto outcome = outcome_of(error);
  const std::string report = static_cast<char>(outcome) + sentence_of(error);
  (void)!::write(report_to, report.data(), report.size());  // the exit code says the most of it
  ::_exit(static_cast<int>(outcome));
}

// What the child said before it gave up; "" when it became the keeper.
std::string read_report(int fd) {
  std::string report;
  std::array<char, 4096> chunk;
  for (;;) {
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n > 0) {
      report.append(chunk.data(), static_cast<std::size_t>(n));
    } else if (n == 0 || errno != EINTR) {
      return report;
    }
  }
}

// The system is up: waits for its workers.
Outcome wait_until_settled(const std::string& control, const std::string& log) {
  auto system = connect(control);
  const auto answer = system ? system->request("wait_settled", nlohmann::json::object())
                             : Result<nlohmann::json>(system.error());
  if (!answer) {
    const std::string end = LogTail(log).last_lines(5);
    return complain(Outcome::failed, "the supervisor ended before its workers were ready: " +
                                         answer.error().to_string() + "; " + log +
                                         " ends with: " + (end.empty() ? "nothing" : end));
  }
  const auto& failed = answer->at("failed");
  if (failed.empty()) {
    std::printf("%s is up\n", system->system().name.c_str());
    return Outcome::done;
  }
  std::string names;
  for (const auto& worker : failed) {
    names +=
        (names.empty() ? "" : "; ") + worker.value("name", "") + ": " + worker.value("reason", "");
  }
  return complain(
      Outcome::failed,
      "not every worker is ready: " + names +
          " (while the system runs, `bulkhead status` shows more and `bulkhead shutdown` "
          "ends it; when it is over, " +
          log + " says why)");
}

Outcome run_detached(const LaunchRequest& request) {
  auto started = base::make_pipe();
  if (!started) return complain(started.error());

  const pid_t child = ::fork();
  if (child < 0) return complain(errno_error(errno, "start the supervisor"));
  if (child == 0) detached_child(request, started->second.get());
  started->second.reset();
  const std::string report = read_report(started->first.get());
  if (!report.empty()) {
    ::waitpid(child, nullptr, 0);
    return complain(static_cast<Outcome>(report.front()), report.substr(1));
  }
  const std::string control = request.control_path.empty()
                                  ? base::control_socket_path(request.runtime_dir, request.name)
                                  : request.control_path;
  return wait_until_settled(fs::absolute(control).string(), supervisor_log(request));
}

}  // namespace

Outcome run(const SystemChoice& choice, const RunOptions& options) {
  auto config = read_config(options.config);
  if (const auto* outcome = std::get_if<Outcome>(&config)) return *outcome;
  const auto request = launch_request(choice, options, std::get<CheckedConfig>(std::move(config)));
  if (options.detach) return run_detached(request);
  auto spec = supervisor::prepare_launch(request);
  if (!spec) return complain(spec.error());
  return complain(supervisor::exec_keeper(std::move(*spec)));  // returns only when it failed
}

}  // namespace bulkhead::cli
