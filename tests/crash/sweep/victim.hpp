// A child process that runs one actor of an operation between two marks, under ptrace, and is stopped at
// exactly one instruction of it. Used by the calibration and the runner; knows no invariant.
//
// How a point is reached (Reach):
//   breakpoint  a hardware breakpoint on the instruction's address, hit as often as it was entered
//               before: microseconds, whatever the distance
//   step        every instruction by single-stepping: where the machine has no debug registers
// A repeat of a `rep` instruction is entered through its beginning: the count register is set to what
// must have been done, the shortened instruction runs, the rest of the count is put back, and the last
// repeat is single-stepped, so that the victim stands inside the real instruction. Memory and registers
// are then as if all of them had been stepped, which took minutes for a message of some kilobytes.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "tests/crash/sweep/operation.hpp"
#include "tests/crash/sweep/trace.hpp"

namespace bulkhead::sweep {

enum class Reach : std::uint8_t { breakpoint, step };

class Victim {
 public:
  // How this process reaches points; a fact about the machine, set once at the start.
  static inline Reach reach = Reach::breakpoint;

  // Forks; returns when the child stands at its first mark.
  Victim(Operation& operation, int actor);
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;
  ~Victim() { kill(); }

  // False when the child stands anywhere but at the point: then nothing may be concluded from it.
  // Runs Operation::wake() on the way, where the trace has it.
  [[nodiscard]] bool run_to(const Trace& trace, std::size_t point);
  // From where it stands to the second mark.
  [[nodiscard]] bool run_to_end();
  void kill();  // SIGKILL, and confirmed

  // --- for the calibration ---
  struct State {
    std::uint64_t address = 0, count = 0, system_call = 0;
  };
  State state() const;
  std::uint64_t code_at(std::uint64_t address) const;
  [[nodiscard]] bool step();

 private:
  [[nodiscard]] bool go_on(int request);  // false: it is not there any more
  [[nodiscard]] bool run_to_address(std::uint64_t address, std::uint32_t hits);
  [[nodiscard]] bool run_into_repeat(const Point& point);
  [[nodiscard]] bool step_to(const Trace& trace, std::size_t point);
  [[nodiscard]] bool fall_asleep(const Trace& trace, bool then_wake);
  bool set_breakpoint(std::uint64_t address);
  std::uint64_t address() const;

  Operation& operation_;
  pid_t pid_ = -1;
  std::size_t at_ = 0;  // the last point that it was run to
  bool woken_ = false;
};

// Returns when the process sleeps in the kernel; false when it does not come to that.
[[nodiscard]] bool wait_until_asleep(pid_t pid);

// Whether this process may trace and has debug registers: found out by trying, on a child.
struct Ability {
  bool trace = false, breakpoints = false;
};
Ability find_ability();

}  // namespace bulkhead::sweep
