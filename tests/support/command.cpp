#include "tests/support/command.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/child_process.hpp"

namespace bulkhead::test {
namespace {

// Later entries win: the child sees the first of equals, so ours come last.
std::vector<std::string> environment(std::vector<std::string> extra) {
  std::vector<std::string> all = std::move(extra);
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

// Reads both until both have ended; false when the deadline passed first.
bool read_both(int out, int err, CommandOutput& output, Deadline deadline) {
  std::array<pollfd, 2> ends{pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining()).count();
    if (::poll(ends.data(), ends.size(), static_cast<int>(left)) == 0) return false;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      std::array<char, 16384> chunk;
      const ssize_t n = ::read(ends[i].fd, chunk.data(), chunk.size());
      if (n > 0) {
        (i == 0 ? output.out : output.err).append(chunk.data(), static_cast<std::size_t>(n));
      } else if (n == 0 || errno != EINTR) {
        ends[i].fd = -1;
      }
    }
  }
  return true;
}

}  // namespace

CommandOutput run_command(std::vector<std::string> argv, std::vector<std::string> extra_environment,
                          std::chrono::seconds patience) {
  CommandOutput output;
  auto out = base::make_pipe();
  auto err = base::make_pipe();
  if (!out || !err) return output;
  base::SpawnPlan plan;
  plan.executable = argv.front();
  plan.argv = std::move(argv);
  plan.env = environment(std::move(extra_environment));
  plan.output = out->second.get();
  plan.errors = err->second.get();
  auto spawned = base::spawn(plan);
  if (!spawned) {
    output.err = spawned.error().to_string();
    return output;
  }
  base::ChildProcess child(std::move(*spawned), base::ChildProcess::OnDestroy::kill);
  out->second.reset();
  err->second.reset();
  const auto deadline = Deadline::in(patience);
  const bool ended = read_both(out->first.get(), err->first.get(), output, deadline);
  const auto status = ended ? child.wait(deadline) : make_error(Errc::timed_out, plan.argv.front());
  if (!status) {
    output.err += status.error().to_string();
  } else if (const auto* exited = std::get_if<base::Exited>(&*status)) {
    output.code = exited->code;
  } else {
    output.code = 128 + std::get<base::Signaled>(*status).signal;
  }
  return output;
}

}  // namespace bulkhead::test
