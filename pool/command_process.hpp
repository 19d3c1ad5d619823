// One command that runs: a process group of its own with its output on two pipes. Used by the loop that runs commands.
// Knows nothing of inputs and retries.
#pragma once

#include <sys/types.h>
#include <bulkhead/error.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "base/spawn.hpp"

namespace bulkhead::pool {

// Its end needs two steps. The leader's zombie keeps the group's number from being used again, so the others in the
// group are killed first, and then it is reaped; those others become our children, since we are a subreaper.
struct CommandProcess {
  pid_t group = 0;
  // Both ends are held: without a writer the pipe would report its end to epoll, once more for each command, and
  // what is read after the group is gone is complete without it.
  base::FdPair output, errors;

  void signal(int number) const noexcept;
  // By a leader that was seen to have ended. Whether the group is gone is for is_gone() to say.
  base::ExitStatus end_group() const noexcept;
  // Of a group whose leader was reaped: nobody is left in it, not even unreaped.
  bool is_gone() const noexcept;
};

// Starts commands that differ in their arguments only. Threads: the one that it was made in, whose death kills them.
class CommandStarter {
 public:
  // `nofile`: what the commands get instead of our own limit of descriptors.
  static Result<CommandStarter> make(std::string executable,
                                     std::optional<base::ResourceLimit> nofile);

  enum class Failure { none, scarce, refused };  // scarce: processes or descriptors, for now
  Result<CommandProcess> start(std::vector<std::string>& argv, Failure& failure);

 private:
  explicit CommandStarter(base::UniqueFd null) : null_(std::move(null)) {}

  base::UniqueFd null_;
  base::SpawnPlan plan_;
};

}  // namespace bulkhead::pool
