#include "bench/others/supervisors/supervised.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>

#include "base/clock.hpp"
#include "base/process_tree.hpp"
#include "bench/others/supervisors/child.hpp"

namespace bulkhead::bench::others {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto start_patience = 20s;  // Erlang compiles its modules first
constexpr auto stop_patience = 5s;
constexpr std::size_t shown_output_max = 600;

// In memory, as service directories are kept where s6 and runit run a machine: each restart writes its status there.
fs::path fast_directory() {
  constexpr const char* memory = "/dev/shm";
  const bool chosen = ::getenv("TMPDIR") != nullptr;
  return !chosen && ::access(memory, W_OK) == 0 ? fs::path(memory) : fs::temp_directory_path();
}

// What a terminal, a service manager or another system of ours said to us is not for them.
bool is_handed_on(std::string_view entry) {
  return !entry.starts_with("BULKHEAD_") && !entry.starts_with("BENCH_CHILD_") &&
         !entry.starts_with("NOTIFY_SOCKET=") && !entry.starts_with("WATCHDOG_");
}

}  // namespace

Result<std::unique_ptr<Supervised>> Supervised::start(const Recipe& recipe,
                                                      const Surroundings& surroundings) {
  std::unique_ptr<Supervised> supervised(new Supervised(recipe, surroundings));
  if (auto prepared = supervised->prepare(); !prepared) return prepared.error();
  if (auto launched = supervised->launch(); !launched) return launched.error();
  if (auto running = supervised->await_child(); !running) return running.error();
  return supervised;
}

Supervised::~Supervised() {
  if (supervisor_) {
    if (supervisor_->send_signal(SIGTERM)) (void)supervisor_->wait(Deadline::in(stop_patience));
    // What an orderly end leaves running: a supervisor that did not come to it, a port program of Erlang.
    (void)base::kill_tree({socket_entry()}, Deadline::in(stop_patience));
    supervisor_.reset();
  }
  std::error_code ignored;
  if (!directory_.empty()) fs::remove_all(directory_, ignored);
}

std::string Supervised::socket_entry() const {
  return child_socket_variable + ("=" + (directory_ / "news").string());
}

Result<void> Supervised::prepare() {
  std::string pattern = (fast_directory() / "bulkhead-supervised-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return errno_error(errno, "make " + pattern);
  directory_ = pattern;
  std::error_code error;
  fs::create_symlink(surroundings_.child, directory_ / "run", error);
  if (error) return errno_error(error.value(), "link " + (directory_ / "run").string());
  for (const auto& file : recipe_.files) {
    std::ofstream out(directory_ / file.name);
    out << file.text;
    out.close();
    if (!out) return make_error(Errc::exec_failed, "write " + (directory_ / file.name).string());
  }

  const std::string path = directory_ / "news";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return make_error(Errc::invalid_argument,
                      path + " is too long for a socket (set TMPDIR to a shorter path)");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return errno_error(errno, "bind " + path);
  }
  return {};
}

Result<void> Supervised::launch() {
  const fs::path program = find_program(recipe_);
  if (program.empty()) return make_error(Errc::not_found, recipe_.program);
  const base::UniqueFd output{
      ::open((directory_ / "output").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
  if (!output.is_open()) return errno_error(errno, (directory_ / "output").string());
  base::SpawnPlan plan;
  plan.executable = program;
  plan.argv = {program};
  plan.argv.insert(plan.argv.end(), recipe_.arguments.begin(), recipe_.arguments.end());
  plan.env = recipe_.environment;
  plan.env.push_back(socket_entry());
  plan.env.push_back(child_owner_variable + ("=" + std::to_string(::getpid())));
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (is_handed_on(*entry)) plan.env.emplace_back(*entry);
  }
  plan.working_dir = directory_;
  plan.input = -1;
  plan.output = plan.errors = output.get();
  plan.group = base::ProcessGroup::new_session;  // Ctrl-C is for us, who end them in good order
  plan.death_signal = base::DeathSignal{SIGKILL, ::getpid()};
  auto spawned = base::spawn(plan);
  if (!spawned) return failure(spawned.error().to_string());
  supervisor_.emplace(std::move(*spawned), base::ChildProcess::OnDestroy::kill);
  return {};
}

Result<void> Supervised::await_child() {
  const auto deadline = Deadline::in(start_patience);
  while (!deadline.expired()) {
    std::array<pollfd, 3> entries{{{socket_.get(), POLLIN, 0},
                                   {surroundings_.interrupt_fd, POLLIN, 0},
                                   {supervisor_->pidfd(), POLLIN, 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
    if (::poll(entries.data(), entries.size(), static_cast<int>(left.count())) < 0) continue;
    ChildNews news;
    if (::recv(socket_.get(), &news, sizeof news, 0) == sizeof news) {
      child_ = news.pid;
      running_ns_ = news.running_ns;
      return {};
    }
    if (entries[1].revents != 0) return make_error(Errc::cancelled, "the benchmark");
    if (entries[2].revents != 0) {
      const auto status = supervisor_->wait(Deadline::never());
      return failure("it ended" + (status ? " with " + base::to_string(*status) : ""));
    }
  }
  return failure("it did not start the child within " + std::to_string(start_patience.count()) +
                 " s");
}

Result<void> Supervised::rest_until(std::uint64_t when_ns) {
  for (auto now = base::monotonic_ns(); now < when_ns; now = base::monotonic_ns()) {
    pollfd entry{surroundings_.interrupt_fd, POLLIN, 0};
    const auto left_ms = static_cast<int>((when_ns - now) / 1'000'000) + 1;
    if (::poll(&entry, 1, left_ms) > 0) return make_error(Errc::cancelled, "the benchmark");
  }
  return {};
}

Result<double> Supervised::kill_child(std::chrono::milliseconds lived) {
  const auto lived_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(lived).count());
  if (auto rested = rest_until(running_ns_ + lived_ns); !rested) return rested.error();
  ChildNews unexpected;
  if (::recv(socket_.get(), &unexpected, sizeof unexpected, 0) >= 0) {
    return failure("it restarted a child that nobody had killed");
  }
  const auto pidfd = base::open_pidfd(child_);
  if (!pidfd) return failure("its child is gone though nobody killed it");
  const auto t0_ns = base::monotonic_ns();
  if (auto sent = base::send_signal(pidfd->get(), SIGKILL); !sent) return sent.error();
  if (auto running = await_child(); !running) return running.error();
  return static_cast<double>(running_ns_ - t0_ns) / 1e3;
}

// With the end of what the supervisor said, since that goes with its directory.
Error Supervised::failure(const std::string& what) const {
  const auto read = base::read_file(directory_ / "output");
  std::string output = read ? *read : "";
  if (output.size() > shown_output_max) output.erase(0, output.size() - shown_output_max);
  const std::string remedy = recipe_.package.empty()
                                 ? "build the command with `make build`"
                                 : "try `apt-get install --reinstall " + recipe_.package +
                                       "`, or --without " + recipe_.peer;
  return make_error(Errc::exec_failed, recipe_.peer + ": " + what +
                                           "; it said: " + (output.empty() ? "nothing" : output) +
                                           " (" + remedy + ")");
}

}  // namespace bulkhead::bench::others
