#include "bench/others/apart.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "base/spawn.hpp"

namespace bulkhead::bench::others {
namespace {

using nlohmann::json;
using Measure = std::function<Result<json>()>;

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

[[noreturn]] void measure_in_child(pid_t parent, const Measure& measure, int out) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  json answer;
  if (auto measured = measure()) {
    answer["measured"] = std::move(*measured);
  } else {
    answer["error"] = measured.error().to_string();
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

}  // namespace

Result<json> run_apart(const Measure& measure) {
  auto pipe = base::make_pipe();
  if (!pipe) return pipe.error();
  const bool memory_is_ours = !std::filesystem::exists(daemon_memory);
  auto daemon = RouDi::start();
  if (!daemon) return daemon.error();
  std::fflush(stdout);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return errno_error(errno, "fork a part of the benchmark");
  if (child == 0) measure_in_child(parent, measure, pipe->second.get());
  pipe->second.reset();
  json answer = json::parse(read_all(pipe->first.get()), nullptr, false);
  ::waitpid(child, nullptr, 0);
  daemon->end();
  clean_up(child, memory_is_ours);
  if (!answer.is_object()) return make_error(Errc::peer_died, "the process of the measurement");
  if (answer.contains("error")) {
    return make_error(Errc::unsupported, answer["error"].get<std::string>());
  }
  return std::move(answer["measured"]);
}

}  // namespace bulkhead::bench::others
