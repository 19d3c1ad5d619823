// What can be done to a process from outside, without its help. Used by `chaos`; knows no system and no worker.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>

#include "base/fd.hpp"

namespace bulkhead::cli {

// A process, and nobody who may get its number later.
class PinnedProcess {
 public:
  explicit PinnedProcess(int pid);

  int pid() const noexcept { return pid_; }
  bool signal(int number) const noexcept;

  // Cuts one of its connections: neither end can say or hear anything on it from then on. Its descriptor stays, so that
  // its number means nothing else before the process has noticed. `choice` in [0, 1) picks among the connections that
  // the runtime was given for links and sessions, and the program's own: not the control connection, which has
  // the keeper at its other end, nor what listens, nor stdin, stdout and stderr.
  // Errors: not_found when it has none; of the system, as when we may not look into it (ptrace(2)).
  Result<void> cut_connection(double choice) const;

  // It may have that much more address space than it has now, and no more. Gives what it might have before, for
  // give_memory(). Errors: of the system.
  Result<std::uint64_t> limit_memory(std::uint64_t more_bytes) const;
  void give_memory(std::uint64_t limit_bytes) const noexcept;

 private:
  Result<base::UniqueFd> duplicate(int fd) const;

  int pid_;
  base::UniqueFd fd_;
};

}  // namespace bulkhead::cli
