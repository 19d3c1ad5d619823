#include "pool/ask_symboliser.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "base/spawn.hpp"

namespace bulkhead::pool {
namespace {

using nlohmann::json;

// Debug information may be large, and made to be.
constexpr std::uint64_t memory_max = std::uint64_t{4} << 30, seconds_max = 60;

Result<base::UniqueFd> as_file(const std::string& text) {
  auto file = base::make_memfd("frames", false);
  if (!file) return file.error();
  if (::write(file->get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::lseek(file->get(), 0, SEEK_SET) != 0) {
    return errno_error(errno, "write down the frames");
  }
  return file;
}

std::string read_all(int fd) {
  std::string text;
  char chunk[65536];
  for (;;) {
    const ssize_t got = ::read(fd, chunk, sizeof chunk);
    if (got > 0) text.append(chunk, static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) return text;
  }
}

}  // namespace

Result<json> ask_symboliser(const std::string& program, const json& question) {
  const auto file = as_file(question.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!file) return file.error();
  auto pipe = base::make_pipe();
  if (!pipe) return pipe.error();
  base::SpawnPlan plan;
  plan.executable = program;
  plan.argv = {"bulkhead-symboliser"};
  plan.input = file->get();
  plan.output = pipe->second.get();
  plan.errors = 2;
  plan.limits = {{RLIMIT_AS, memory_max, memory_max}, {RLIMIT_CPU, seconds_max, seconds_max}};
  plan.death_signal = base::DeathSignal{9, ::getpid()};
  auto spawned = base::spawn(plan);
  if (!spawned) return spawned.error();
  base::ChildProcess child(std::move(*spawned), base::ChildProcess::OnDestroy::kill);
  pipe->second.reset();
  const std::string text = read_all(pipe->first.get());
  const auto ended = child.wait(Deadline::never());
  if (!ended) return ended.error();
  const auto answer = json::parse(text, nullptr, false);
  if (*ended != base::ExitStatus(base::Exited{0}) || !answer.is_object()) {
    return make_error(Errc::remote_error, "the symboliser ended with " + base::to_string(*ended));
  }
  return answer;
}

}  // namespace bulkhead::pool
