// One supervisor with the child that it keeps running, in a private directory. Used by rounds.cpp; knows a supervisor
// by its recipe only.
#pragma once

#include <bulkhead/error.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "bench/others/supervisors/recipe.hpp"

namespace bulkhead::bench::others {

// Threads: the one that started it, whose death kills the supervisor. Destroyed, or when that thread's process dies,
// supervisor and child are gone; destroyed, the directory is, too.
class Supervised {
 public:
  struct Surroundings {
    std::filesystem::path child;  // the program to keep running, whose main is run_child()
    int interrupt_fd = -1;        // once it can be read, every wait ends with Errc::cancelled
  };

  // Returns when the child runs. Errors: exec_failed with what the supervisor said, and the remedy.
  static Result<std::unique_ptr<Supervised>> start(const Recipe&, const Surroundings&);
  ~Supervised();

  // SIGKILLs the child once it has run for so long. Returns the microseconds from just before the signal until its
  // successor said that it runs. Errors: as start().
  Result<double> kill_child(std::chrono::milliseconds lived);

  const std::string& peer() const noexcept { return recipe_.peer; }

 private:
  Supervised(const Recipe& recipe, const Surroundings& surroundings)
      : recipe_(recipe), surroundings_(surroundings) {}
  Result<void> prepare();
  Result<void> launch();
  Result<void> await_child();
  Result<void> rest_until(std::uint64_t when_ns);
  Error failure(const std::string& what) const;
  std::string socket_entry() const;

  const Recipe recipe_;
  const Surroundings surroundings_;
  std::filesystem::path directory_;
  base::UniqueFd socket_;
  std::optional<base::ChildProcess> supervisor_;
  int child_ = 0;
  std::uint64_t running_ns_ = 0;  // since when the child runs
};

}  // namespace bulkhead::bench::others
