#include "bench/others/report.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "base/spawn.hpp"
#include "bench/machine.hpp"

namespace bulkhead::bench::others {
namespace {

using nlohmann::json;

constexpr const char* roudi_path = "/usr/bin/iox-roudi";
constexpr const char* daemon_memory = "/dev/shm/iceoryx_mgmt";

// iceoryx's daemon, for as long as this object lives. Asked to go, it first kills who still uses it; killed, it
// would leave names in /dev/shm.
class RouDi {
 public:
  static Result<RouDi> start() {
    base::SpawnPlan plan;
    plan.executable = roudi_path;
    plan.argv = {"iox-roudi", "--log-level", "off"};
    for (char** entry = environ; *entry != nullptr; ++entry) plan.env.emplace_back(*entry);
    plan.output = plan.errors = -1;
    plan.death_signal = base::DeathSignal{SIGTERM, ::getpid()};
    auto spawned = base::spawn(plan);
    if (!spawned) return spawned.error();
    return RouDi({std::move(*spawned), base::ChildProcess::OnDestroy::kill});
  }
  RouDi(RouDi&&) = default;
  RouDi& operator=(RouDi&&) = delete;
  ~RouDi() { end(); }
  void end() {
    if (process_.send_signal(SIGTERM)) (void)process_.wait(Deadline::in(std::chrono::seconds(10)));
  }

 private:
  explicit RouDi(base::ChildProcess process) : process_(std::move(process)) {}
  base::ChildProcess process_;
};

[[noreturn]] void race_in_child(Waiting waiting, const RaceOptions& options, int out) {
  json answer;
  {
    const auto rows = run_race(waiting, options);
    if (!rows) {
      answer["error"] = rows.error().to_string();
    } else {
      for (const RaceRow& row : *rows) {
        answer["rows"].push_back({row.peer, row.transport, row.mean_ns, row.p50_ns, row.p99_ns,
                                  row.p999_ns, row.max_ns, row.cpu_percent, row.n});
      }
    }
  }
  const std::string text = answer.dump();
  const bool written = ::write(out, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::_exit(written ? 0 : 1);
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> chunk;
  for (;;) {
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n > 0) {
      text.append(chunk.data(), static_cast<std::size_t>(n));
    } else if (n == 0 || errno != EINTR) {
      return text;
    }
  }
}

// What the libraries leave behind: sockets and locks named after the racing process, and the memory of iceoryx's
// daemon, which aborts when it finds its users gone.
void clean_up(pid_t racer, bool memory_is_ours) {
  const std::string mark = "-" + std::to_string(racer) + "-";
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/tmp", ignored)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("bulkhead-") && name.find(mark) != name.npos) {
      std::filesystem::remove(entry.path(), ignored);
    }
  }
  if (!memory_is_ours) return;  // another daemon's: it ran before, and ours did not start
  for (const char* memory : {daemon_memory, "/dev/shm/root"}) {
    std::filesystem::remove(memory, ignored);
  }
}

const char* mode_of(Waiting waiting) { return waiting == Waiting::polling ? "spin" : "block"; }

}  // namespace

Result<std::vector<RaceRow>> run_apart(Waiting waiting, const RaceOptions& options) {
  auto pipe = base::make_pipe();
  if (!pipe) return pipe.error();
  const bool memory_is_ours = !std::filesystem::exists(daemon_memory);
  auto daemon = RouDi::start();
  if (!daemon) return daemon.error();
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child < 0) return errno_error(errno, "fork a race");
  if (child == 0) race_in_child(waiting, options, pipe->second.get());
  pipe->second.reset();
  const json answer = json::parse(read_all(pipe->first.get()), nullptr, false);
  ::waitpid(child, nullptr, 0);
  daemon->end();
  clean_up(child, memory_is_ours);
  if (!answer.is_object()) return make_error(Errc::peer_died, "the process of a race");
  if (answer.contains("error")) {
    return make_error(Errc::unsupported, answer["error"].get<std::string>());
  }
  std::vector<RaceRow> rows;
  for (const json& row : answer["rows"]) {
    rows.push_back({row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8]});
  }
  return rows;
}

void print_table(Waiting waiting, const RaceOptions& options, const std::vector<RaceRow>& rows) {
  const double ours = rows[1].mean_ns;  // shm; the bare mechanism comes first
  std::printf("%s, %zu bytes, round trip\n", waiting == Waiting::polling ? "awake" : "asleep",
              options.bytes);
  std::printf("  %-20s %-10s %11s %11s %11s %8s %8s %6s\n", "", "over", "mean", "p50", "p99",
              "to bare", "to ours", "CPU");
  for (const RaceRow& row : rows) {
    std::printf("  %-20s %-10s %8.2f us %8.2f us %8.2f us %7.2fx %7.2fx %5.0f%%\n",
                row.peer.c_str(), row.transport.c_str(), row.mean_ns / 1e3, row.p50_ns / 1e3,
                row.p99_ns / 1e3, row.mean_ns / rows[0].mean_ns, row.mean_ns / ours,
                row.cpu_percent);
  }
}

json to_json(Waiting waiting, const RaceOptions& options, const std::vector<RaceRow>& rows) {
  auto array = json::array();
  for (const RaceRow& row : rows) {
    if (row.peer == "bare") continue;
    array.push_back({{"bench", "latency"},
                     {"transport", row.transport},
                     {"mode", mode_of(waiting)},
                     {"size", options.bytes},
                     {"n", row.n},
                     {"p50_ns", row.p50_ns},
                     {"p99_ns", row.p99_ns},
                     {"p999_ns", row.p999_ns},
                     {"max_ns", row.max_ns},
                     {"mean_ns", row.mean_ns},
                     {"cpu_percent", row.cpu_percent},
                     {"zero_copy", false},
                     {"baseline", rows[0].transport},
                     {"baseline_mean_ns", rows[0].mean_ns},
                     {"ratio", row.mean_ns / rows[0].mean_ns},
                     {"peer", row.peer}});
  }
  return array;
}

bool write_figures(const std::string& path, const json& rows) {
  std::ofstream file(path);
  file << json{{"machine", describe_machine("")}, {"rows", rows}}.dump(1) << '\n';
  file.close();
  if (file) return true;
  std::fprintf(stderr, "bench-others: the figures cannot be written to %s: %s\n", path.c_str(),
               std::strerror(errno));
  return false;
}

}  // namespace bulkhead::bench::others
