// The other process of a round-trip measurement: echoes as many messages as it is told, then sleeps
// until told again, so that it never disturbs what is measured in between. Used by the contestants;
// knows no transport.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/child_process.hpp"
#include "base/fd.hpp"

namespace bulkhead::bench {

struct EchoReport {
  double busy = 0;             // share of a processor, from its first wait to its last answer
  std::uint64_t syscalls = 0;  // that the mechanism counted
  bool failed = false;
};

// How busy this process is from here on.
class Busyness {
 public:
  Busyness() noexcept;
  double share() const noexcept;  // 1: one processor all the time

 private:
  std::uint64_t start_ns_, cpu_before_ns_;
};

// Errors: errno, when that processor is not ours to use.
Result<void> pin_to(int cpu);

class EchoProcess {
 public:
  // In the child: echoes that many messages; false when it could not.
  using Echo = std::function<bool(std::uint64_t count)>;
  // In the child, once, before it first waits; and how many system calls it counted so far.
  struct Body {
    std::function<void()> prepare;
    Echo echo;
    std::function<std::uint64_t()> syscalls;
  };

  // Forks. The child is killed when this object, or this process, goes.
  static Result<std::unique_ptr<EchoProcess>> start(int cpu, const Body& body);

  Result<void> begin(std::uint64_t count);
  Result<EchoReport> finish();  // waits for what begin() began

 private:
  EchoProcess(base::ChildProcess child, base::UniqueFd control)
      : child_(std::move(child)), control_(std::move(control)) {}
  [[noreturn]] static void serve(int control, int cpu, const Body& body) noexcept;

  base::ChildProcess child_;
  base::UniqueFd control_;
};

}  // namespace bulkhead::bench
