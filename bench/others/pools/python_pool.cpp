#include "bench/others/pools/python_pool.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <sstream>

namespace bulkhead::bench::others {
namespace {

using namespace std::chrono_literals;

constexpr auto patience =
    120s;  // for an answer: a round of tasks on a machine that others use, too
constexpr auto end_patience = 10s;
constexpr int not_installed_code = 127;  // of env(1), which looks python3 up

}  // namespace

Result<std::unique_ptr<PythonPool>> PythonPool::start(const std::filesystem::path& script,
                                                      const std::string& kind, unsigned workers) {
  std::unique_ptr<PythonPool> pool(new PythonPool(kind));
  if (auto launched = pool->launch(script, workers); !launched) return launched.error();
  auto version = pool->read_line();
  if (!version) return version.error();
  pool->version_ = "Python " + *version;
  return pool;
}

PythonPool::~PythonPool() {
  socket_.reset();
  if (python_) (void)python_->wait(Deadline::in(end_patience));
}

Result<void> PythonPool::launch(const std::filesystem::path& script, unsigned workers) {
  auto sockets = base::make_socketpair(SOCK_STREAM);
  if (!sockets) return sockets.error();
  base::SpawnPlan plan;
  plan.executable = "/usr/bin/env";
  plan.argv = {"env", "python3", script, kind_, std::to_string(workers)};
  for (char** entry = environ; *entry != nullptr; ++entry) plan.env.emplace_back(*entry);
  plan.input = plan.output = sockets->second.get();
  plan.group = base::ProcessGroup::new_session;  // Ctrl-C is for us, and our end is its own
  auto spawned = base::spawn(plan);
  if (!spawned) return spawned.error();
  python_.emplace(std::move(*spawned), base::ChildProcess::OnDestroy::kill);
  socket_ = std::move(sockets->first);
  return {};
}

Result<EmptyTurn> PythonPool::call(std::uint64_t tasks) {
  return ask("call " + std::to_string(tasks) + " 0\n");
}

Result<EmptyTurn> PythonPool::map(std::uint64_t tasks, std::uint64_t chunk) {
  return ask("map " + std::to_string(tasks) + " " + std::to_string(chunk) + "\n");
}

Result<EmptyTurn> PythonPool::ask(const std::string& line) {
  if (::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) {
    return errno_error(errno, "ask " + kind_);
  }
  const auto answer = read_line();
  if (!answer) return answer.error();
  std::istringstream words(*answer);
  EmptyTurn turn;
  double p50_ns = 0;
  if (!(words >> turn.mean_ns >> p50_ns)) {
    return make_error(Errc::protocol_violation, kind_ + " answered: " + *answer);
  }
  if (p50_ns > 0) turn.p50_ns = p50_ns;
  return turn;
}

// Its workers have its end of the socket, too, so that its death is not the end of the stream.
Result<std::string> PythonPool::read_line() {
  std::string line;
  for (const auto deadline = Deadline::in(patience); !deadline.expired();) {
    std::array<pollfd, 2> entries{{{socket_.get(), POLLIN, 0}, {python_->pidfd(), POLLIN, 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
    if (::poll(entries.data(), entries.size(), static_cast<int>(left.count())) < 0) continue;
    if (char letter = 0; entries[0].revents != 0 && ::read(socket_.get(), &letter, 1) == 1) {
      if (letter == '\n') return line;
      line += letter;
    } else if (entries[1].revents != 0) {
      const auto status = python_->wait(Deadline::never());
      if (!status) return status.error();
      const bool is_missing = *status == base::ExitStatus(base::Exited{not_installed_code});
      return make_error(is_missing ? Errc::not_found : Errc::exec_failed,
                        "python3 for " + kind_ + ": " + base::to_string(*status));
    }
  }
  return make_error(Errc::timed_out, kind_ + " does not answer");
}

}  // namespace bulkhead::bench::others
