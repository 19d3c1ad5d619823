// A pool of Python's in its own interpreter, which pools.py makes and which is asked for a round at a time. Used by
// comparison.cpp.
#pragma once

#include <bulkhead/error.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "bench/pool_race.hpp"

namespace bulkhead::bench::others {

// Threads: one. Destroyed, it ends the interpreter, which ends its workers; they end, too, when this process dies.
class PythonPool {
 public:
  // `kind` as pools.py has it. Returns when its workers are up. Errors: not_found, there is no python3; exec_failed.
  static Result<std::unique_ptr<PythonPool>> start(const std::filesystem::path& script,
                                                   const std::string& kind, unsigned workers);
  ~PythonPool();

  // Tasks one by one, from the call to its result.
  Result<EmptyTurn> call(std::uint64_t tasks);
  // map() of so many; chunk 0: its own choice.
  Result<EmptyTurn> map(std::uint64_t tasks, std::uint64_t chunk);

  const std::string& version() const noexcept { return version_; }

 private:
  explicit PythonPool(std::string kind) : kind_(std::move(kind)) {}
  Result<void> launch(const std::filesystem::path& script, unsigned workers);
  Result<EmptyTurn> ask(const std::string& line);
  Result<std::string> read_line();

  std::string kind_, version_;
  base::UniqueFd socket_;
  std::optional<base::ChildProcess> python_;
};

}  // namespace bulkhead::bench::others
