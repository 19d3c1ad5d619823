#include "bench/recovery.hpp"

#include <unistd.h>

#include <poll.h>
#include <bulkhead/connection.hpp>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/child_process.hpp"
#include "base/clock.hpp"
#include "base/fd.hpp"
#include "base/runtime_dir.hpp"
#include "bench/machine.hpp"

namespace bulkhead::bench {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* system_name = "bench-recovery";
json config_with(int spares) {
  return {{"version", 1},
          {"name", system_name},
          {"workers",
           {{"echo",
             {{"command", {"echo-worker"}},
              {"provides", {"echo"}},
              {"ready", {{"type", "notify"}, {"timeout", "10s"}}},
              {"restart", {{"backoff", {{"initial", "0ms"}}}, {"limit", "none"}}},
              {"warm_spares", spares}}}}}};
}
// Between a recovery and the next kill, so that each death hits a system at rest.
constexpr int rest_ms = 10;

// A system in a runtime directory of its own; both go with it.
class PrivateSystem {
 public:
  static Result<std::unique_ptr<PrivateSystem>> start(const RecoveryOptions&);
  ~PrivateSystem();
  Connection& connection() noexcept { return *connection_; }

 private:
  Result<void> run(const RecoveryOptions&);

  fs::path directory_;
  std::optional<Connection> connection_;
  base::UniqueFd keeper_;  // its pidfd
};

Result<std::unique_ptr<PrivateSystem>> PrivateSystem::start(const RecoveryOptions& options) {
  std::string pattern = (fs::temp_directory_path() / "bulkhead-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return errno_error(errno, "make " + pattern);
  auto system = std::make_unique<PrivateSystem>();
  system->directory_ = pattern;
  if (const auto up = system->run(options); !up) return up.error();
  return system;
}

Result<void> PrivateSystem::run(const RecoveryOptions& options) {
  const std::string path = directory_ / "recovery.json";
  const std::string& program = options.program;
  std::ofstream(path) << config_with(options.warm_spare ? 1 : 0);
  base::SpawnPlan plan;
  plan.executable = program;
  plan.argv = {program, "run", "--detach", path};
  plan.env.push_back("BULKHEAD_RUNTIME_DIR=" + directory_.string());
  for (char** entry = environ; *entry != nullptr; ++entry) plan.env.emplace_back(*entry);
  plan.output = -1;  // its errors are for the person at the terminal
  auto spawned = base::spawn(plan);
  if (!spawned) return spawned.error();
  base::ChildProcess starter(std::move(*spawned), base::ChildProcess::OnDestroy::kill);
  const auto status = starter.wait(Deadline::in(30s));
  if (!status) return status.error();
  if (*status != base::ExitStatus(base::Exited{0})) {
    return make_error(Errc::exec_failed, program + " run --detach: " + base::to_string(*status));
  }
  auto connection = connect(base::control_socket_path(directory_.string(), system_name));
  if (!connection) return connection.error();
  connection_.emplace(std::move(*connection));
  const auto answer = connection_->request("status", json::object(), Deadline::in(15s));
  if (!answer) return answer.error();
  auto keeper = base::open_pidfd(answer->at("supervisor").at("keeper_pid"));
  if (!keeper) return keeper.error();
  keeper_ = std::move(*keeper);
  return {};
}

// The answer comes before the keeper has removed what is its own; the kernel tells of its end.
PrivateSystem::~PrivateSystem() {
  if (connection_) (void)connection_->request("shutdown", json::object(), Deadline::in(15s));
  pollfd end{keeper_.get(), POLLIN, 0};
  if (keeper_.is_open()) (void)::poll(&end, 1, 15'000);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

// Kills whenever all that is wanted is ready, and takes the times that the events carry.
class Killing {
 public:
  explicit Killing(const RecoveryOptions& options)
      : left_(options.kills), with_spare_(options.warm_spare) {}

  // False when it is over: all are done, or `failure` tells why not.
  bool take(const json& event) {
    const auto type = event.at("type").get<std::string>();
    const auto t_ns = event.at("t_ns").get<std::uint64_t>();
    if (type == "worker.exited" && t0_ns_ != 0) detected_us_.push_back(since_kill_us(t_ns));
    if (type == "worker.promoted") was_promoted_ = true;
    if (type == "spare.ready") has_spare_ = true;
    if (type == "worker.ready" && !took_over(event, t_ns)) return false;
    if (pid_ == 0 || (with_spare_ && !has_spare_)) return true;
    ::poll(nullptr, 0, rest_ms);
    has_spare_ = was_promoted_ = false;
    return kill(std::exchange(pid_, 0));
  }

  Result<void> outcome() const { return failure_; }
  std::vector<double>& detected_us() noexcept { return detected_us_; }
  std::vector<double>& ready_us() noexcept { return ready_us_; }

 private:
  double since_kill_us(std::uint64_t t_ns) const {
    return (static_cast<double>(t_ns) - static_cast<double>(t0_ns_)) / 1e3;
  }

  // False when that was the last, or not what is measured.
  bool took_over(const json& event, std::uint64_t t_ns) {
    pid_ = event.at("pid").get<int>();
    if (t0_ns_ == 0) return true;
    if (was_promoted_ != with_spare_) {
      failure_ =
          make_error(Errc::exec_failed, "a death was answered by a start instead of a spare");
      return false;
    }
    ready_us_.push_back(since_kill_us(t_ns));
    return --left_ > 0;
  }

  bool kill(int pid) {
    const auto process = base::open_pidfd(pid);
    if (process) {
      t0_ns_ = base::monotonic_ns();
      failure_ = base::send_signal(process->get(), SIGKILL);
    } else {
      failure_ = process.error();
    }
    return failure_.has_value();
  }

  int left_;
  const bool with_spare_;
  bool has_spare_ = false, was_promoted_ = false;
  int pid_ = 0;              // of the worker that is ready; 0: it is not
  std::uint64_t t0_ns_ = 0;  // of the latest kill
  std::vector<double> detected_us_, ready_us_;
  Result<void> failure_;
};

}  // namespace

Result<json> measure_recovery(const RecoveryOptions& options) {
  auto system = PrivateSystem::start(options);
  if (!system) return system.error();
  Killing killing(options);
  const auto followed = (*system)->connection().follow_events(
      1, [&](const json& event) { return killing.take(event); },
      Deadline::in(10s + options.kills * 1s));
  if (!followed) return followed.error();
  if (const auto killed = killing.outcome(); !killed) return killed.error();
  auto& detected = killing.detected_us();
  auto& ready = killing.ready_us();
  return json{{"bench", "recovery"},
              {"cause", "SIGKILL"},
              {"warm_spare", options.warm_spare},
              {"n", ready.size()},
              {"detected_p50_us", percentile(detected, 0.50)},
              {"detected_p99_us", percentile(detected, 0.99)},
              {"ready_p50_us", percentile(ready, 0.50)},
              {"ready_p99_us", percentile(ready, 0.99)},
              {"ready_max_us", percentile(ready, 1.0)},
              {"peer", "bulkhead"}};
}

}  // namespace bulkhead::bench
