#include "tests/crash/sweep/calibration.hpp"

#include <sys/syscall.h>

#include <unordered_map>

#include "tests/crash/sweep/instruction.hpp"
#include "tests/crash/sweep/victim.hpp"

// Younger (5.16) than the C library headers that we build on.
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

namespace bulkhead::sweep {
namespace {

bool is_sleep(std::uint64_t system_call) noexcept { return system_call == SYS_futex_waitv; }

}  // namespace

std::optional<Trace> calibrate(Operation& operation, int actor, std::size_t points_max) {
  struct Seen {
    Instruction instruction;
    std::uint32_t entered = 0;
  };
  std::unordered_map<std::uint64_t, Seen> seen;
  Trace trace;
  Victim victim(operation, actor);
  while (trace.points.size() < points_max) {
    const auto now = victim.state();
    const auto [place, is_new] = seen.try_emplace(now.address);
    Seen& here = place->second;
    if (is_new) here.instruction = decode(victim.code_at(now.address));
    if (here.instruction.kind == InstructionKind::mark) return trace;
    Point point{now.address, here.entered, 0, 0};
    const bool repeats = here.instruction.kind == InstructionKind::repeated &&
                         !trace.points.empty() && trace.points.back().address == now.address;
    if (repeats) {
      point.occurrence = trace.points.back().occurrence;
      point.repeat = trace.points.back().repeat + 1;
      point.count_left = now.count;
    } else {
      ++here.entered;
    }
    if (here.instruction.kind == InstructionKind::system_call && is_sleep(now.system_call) &&
        !trace.sleeps()) {
      trace.sleeps_at = trace.points.size();
      operation.wake();
    }
    trace.points.push_back(point);
    if (!victim.step()) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace bulkhead::sweep
