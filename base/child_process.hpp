// A child with one owner, and how it ended. Used by the command line, benchmarks and tests; the
// brain's workers are the keeper's children and are not ChildProcesses.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <optional>
#include <variant>

#include "base/fd.hpp"
#include "base/spawn.hpp"

namespace bulkhead::base {

struct Exited {
  int code;
  bool operator==(const Exited&) const = default;
};
struct Signaled {
  int signal;
  bool core;
  bool operator==(const Signaled&) const = default;
};
using ExitStatus = std::variant<Exited, Signaled>;
std::string to_string(const ExitStatus&);  // "exit code 3", "SIGKILL"

// Signals through the pidfd: harmless to a stranger that got the same number.
Result<void> send_signal(int pidfd, int signal);

// Threads: one at a time.
class ChildProcess {
 public:
  enum class OnDestroy { kill, detach };  // kill: SIGKILL and reap; detach: leave a zombie behind

  ChildProcess(Spawned, OnDestroy);
  ChildProcess(ChildProcess&&) noexcept = default;
  ChildProcess& operator=(ChildProcess&&) noexcept;
  ~ChildProcess();

  pid_t pid() const noexcept { return spawned_.pid; }
  int pidfd() const noexcept { return spawned_.pidfd.get(); }

  // Reaps; later calls return the same status. Errors: timed_out, stopped (a raised stop flag is
  // seen within 100 ms).
  [[nodiscard]] Result<ExitStatus> wait(Deadline);
  Result<void> send_signal(int signal);

 private:
  void end() noexcept;

  Spawned spawned_;
  OnDestroy on_destroy_;
  std::optional<ExitStatus> status_;
};

}  // namespace bulkhead::base
