#include "tests/support/running_system.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "base/fd.hpp"

namespace bulkhead::test {
namespace {

constexpr auto patience = std::chrono::seconds(30);
constexpr auto look_again = std::chrono::milliseconds(20);  // for what makes no event: counters

[[noreturn]] void fail(const Error& error, const std::string& doing) {
  throw std::runtime_error(doing + ": " + error.to_string());
}

std::set<int> find_processes(const std::function<bool(const std::string& directory)>& counts) {
  std::set<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    if (counts("/proc/" + name)) found.insert(std::stoi(name));
  }
  return found;
}

// The processes on their way out, of whatever system: they lose their memory, and with it the environment
// that says whose they are, before they let go of their descriptors.
std::set<int> leaving() {
  return find_processes([](const std::string& directory) {
    constexpr unsigned exiting = 0x4;  // PF_EXITING
    const auto stat = base::read_file(directory + "/stat");
    if (!stat) return false;
    std::istringstream fields(stat->substr(stat->rfind(')') + 1));  // of "PID (name) state …"
    char state = 0;
    int parent = 0, group = 0, session = 0, terminal = 0, foreground = 0;
    unsigned flags = 0;
    fields >> state >> parent >> group >> session >> terminal >> foreground >> flags;
    return (flags & exiting) != 0 && state != 'Z' && state != 'X';
  });
}

}  // namespace

nlohmann::json row(const nlohmann::json& status, const std::string& instance) {
  for (const auto& worker : status["workers"]) {
    if (worker["name"] == instance) return worker;
  }
  throw std::runtime_error("no instance " + instance + " in the status");
}

std::map<std::string, int> pids(const nlohmann::json& status) {
  std::map<std::string, int> found;
  for (const auto& worker : status["workers"]) found[worker["name"]] = worker["pid"];
  return found;
}

bool all_ready(const nlohmann::json& status) {
  for (const auto& worker : status["workers"]) {
    if (worker["state"] != "ready" && worker["state"] != "done") return false;
  }
  return true;
}

RunningSystem::RunningSystem(const std::string& name, const std::string& config,
                             std::vector<std::string> through)
    : directory_(std::make_unique<TemporaryDirectory>()),
      name_(name),
      config_path_(directory_->write("config.json", config)),
      through_(std::move(through)),
      keeper_(start()) {}

RunningSystem::RunningSystem(const std::string& name, const ConfigFile& file)
    : directory_(std::make_unique<TemporaryDirectory>()),
      name_(name),
      config_path_(file.path),
      keeper_(start()) {}

base::ChildProcess RunningSystem::start() const {
  base::UniqueFd output{
      ::open(directory_->path("output").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  base::SpawnPlan plan;
  plan.argv = through_;
  plan.argv.insert(plan.argv.end(), {BULKHEAD_PROGRAM, "run", config_path_});
  plan.executable = plan.argv[0];
  for (char** entry = environ; *entry != nullptr; ++entry) plan.env.emplace_back(*entry);
  plan.env.push_back("BULKHEAD_RUNTIME_DIR=" + directory_->path("run"));
  plan.output = plan.errors = output.get();
  plan.group = base::ProcessGroup::new_group;
  plan.death_signal = base::DeathSignal{SIGKILL, ::getpid()};
  auto spawned = base::spawn(plan);
  if (!spawned) fail(spawned.error(), "start the system");
  return {std::move(*spawned), base::ChildProcess::OnDestroy::kill};
}

void RunningSystem::start_again() {
  connection_.reset();
  keeper_ = start();
}

RunningSystem::~RunningSystem() {
  connection_.reset();
  for (const int pid : processes()) ::kill(pid, SIGKILL);
}

Connection& RunningSystem::connection() {
  const auto deadline = Deadline::in(patience);
  while (!connection_) {
    auto made = connect(directory_->path("run/" + name_ + ".sock"), Deadline::in(patience));
    if (made) {
      connection_.emplace(std::move(*made));
    } else if (deadline.expired() || keeper_.wait(Deadline::in(look_again))) {
      throw std::runtime_error("connect: " + made.error().to_string() +
                               "; it printed: " + output());
    }
  }
  return *connection_;
}

Result<nlohmann::json> RunningSystem::try_request(const std::string& method,
                                                  nlohmann::json params) {
  return connection().request(method, std::move(params), Deadline::in(patience));
}

nlohmann::json RunningSystem::request(const std::string& method, nlohmann::json params) {
  auto answer = try_request(method, std::move(params));
  if (!answer) fail(answer.error(), method);
  return std::move(*answer);
}

nlohmann::json RunningSystem::worker(const std::string& instance) {
  return row(status(), instance);
}

nlohmann::json RunningSystem::link(const std::string& name) {
  const auto now = status();
  for (const auto& link : now["links"]) {
    if (link["name"] == name) return link;
  }
  throw std::runtime_error("no link " + name);
}

nlohmann::json RunningSystem::await(const std::function<bool(const nlohmann::json&)>& holds,
                                    const std::string& what) {
  const auto deadline = Deadline::in(patience);
  for (;;) {
    auto now = status();
    if (holds(now)) return now;
    if (deadline.expired()) {
      throw std::runtime_error("gave up waiting for: " + what + "; status: " + now.dump(1) +
                               "; it printed: " + output());
    }
    (void)connection().follow_events(
        UINT64_MAX, [](const nlohmann::json&) { return false; }, Deadline::in(look_again));
  }
}

void RunningSystem::await_all_ready() { await(all_ready, "every worker ready"); }

nlohmann::json RunningSystem::await_reborn(const std::string& instance, int pid) {
  const auto now = await(
      [&](const nlohmann::json& status) {
        const auto worker = row(status, instance);
        return worker["state"] == "ready" && worker["pid"] != pid;
      },
      instance + " ready again");
  return row(now, instance);
}

int RunningSystem::brain_pid() { return status()["supervisor"]["brain_pid"]; }

void RunningSystem::kill_brain() {
  const int pid = brain_pid();
  auto pidfd = base::open_pidfd(pid);
  if (!pidfd) fail(pidfd.error(), "find the brain");
  if (const auto sent = base::send_signal(pidfd->get(), SIGKILL); !sent) {
    fail(sent.error(), "kill the brain");
  }
}

base::ExitStatus RunningSystem::await_end() {
  auto status = keeper_.wait(Deadline::in(patience));
  if (!status) fail(status.error(), "wait for the end; it printed: " + output());
  return *status;
}

std::set<int> RunningSystem::processes() const {
  const std::string mark = "BULKHEAD_RUNTIME_DIR=" + directory_->path("run");
  return find_processes([&](const std::string& directory) {
    const auto environment = base::read_file(directory + "/environ");  // empty for a zombie
    return environment && environment->find(mark) != std::string::npos;
  });
}

void RunningSystem::await_no_process() {
  const auto deadline = Deadline::in(patience);
  const auto left_over = [this] {
    auto found = processes();
    if (found.empty()) found = leaving();
    return found;
  };
  for (auto left = left_over(); !left.empty(); left = left_over()) {
    if (deadline.expired())
      throw std::runtime_error("process " + std::to_string(*left.begin()) + " is left over");
    if (auto pidfd = base::open_pidfd(*left.begin())) {
      base::ChildProcess watched({*left.begin(), std::move(*pidfd)},
                                 base::ChildProcess::OnDestroy::detach);
      (void)watched.wait(Deadline::in(look_again));
    }
  }
}

std::string RunningSystem::output() const {
  std::ifstream file(directory_->path("output"));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<nlohmann::json> RunningSystem::events_of(const std::string& instance,
                                                     const std::string& type) {
  std::vector<nlohmann::json> found;
  std::uint64_t next = 1;
  for (bool complete = false; !complete;) {
    const auto page = request("events", {{"since", next}});
    for (const auto& event : page["events"]) {
      if (event["name"] == instance && event["type"] == type) found.push_back(event);
    }
    next = page["next"];
    complete = page["complete"];
  }
  return found;
}

}  // namespace bulkhead::test
