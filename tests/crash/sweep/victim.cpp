#include "tests/crash/sweep/victim.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <string>

#include "tests/crash/sweep/instruction.hpp"
#include "tests/crash/sweep/shared.hpp"
#include "tests/crash/sweep/victim_memory.hpp"

namespace bulkhead::sweep {
namespace {

constexpr std::size_t rip_offset = offsetof(user_regs_struct, rip);

void* as_pointer(std::uint64_t number) noexcept { return reinterpret_cast<void*>(number); }

// Never inlined: the marks stand at one address each, in the victim and in the calibrated one.
[[gnu::noinline]] void mark() { asm volatile("int3" ::: "memory"); }

[[noreturn, gnu::noinline]] void play(Operation& operation, int actor) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // How memcpy(3) copies depends on the alignment: each victim's stack begins at one place of a page.
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  void* const padding = __builtin_alloca(here % 4096);
  asm volatile("" : : "r"(padding) : "memory");
  begin_victim_memory();
  operation.enter(actor);
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) give_up("sweep: be traced");
  mark();
  operation.act(actor);
  mark();
  _exit(0);
}

// The state letter of proc(5): 'S' while it sleeps in the kernel.
char process_state(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');
  return name_end == std::string::npos || name_end + 2 >= text.size() ? '?' : text[name_end + 2];
}

}  // namespace

Victim::Victim(Operation& operation, int actor) : operation_(operation), pid_(fork()) {
  if (pid_ < 0) give_up("sweep: fork a victim");
  if (pid_ == 0) play(operation, actor);
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
    give_up("sweep: a victim ended before its first mark");
  }
}

void Victim::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) == pid_ && !WIFSIGNALED(status) && !WIFEXITED(status)) {
  }
  pid_ = -1;
}

std::uint64_t Victim::address() const {
  return static_cast<std::uint64_t>(ptrace(PTRACE_PEEKUSER, pid_, rip_offset, nullptr));
}

std::uint64_t Victim::code_at(std::uint64_t address) const {
  return static_cast<std::uint64_t>(ptrace(PTRACE_PEEKTEXT, pid_, as_pointer(address), nullptr));
}

Victim::State Victim::state() const {
  user_regs_struct registers{};
  if (ptrace(PTRACE_GETREGS, pid_, nullptr, &registers) != 0) give_up("sweep: read registers");
  return {registers.rip, registers.rcx, registers.rax};
}

bool Victim::go_on(int request) {
  if (ptrace(static_cast<__ptrace_request>(request), pid_, nullptr, nullptr) != 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return false;
  if (WIFSTOPPED(status)) return WSTOPSIG(status) == SIGTRAP;
  pid_ = -1;  // it ended, and was reaped
  return false;
}

bool Victim::step() { return go_on(PTRACE_SINGLESTEP); }

// Debug register 0, execution, one byte: Intel SDM 17.2.4. 0 takes it away.
bool Victim::set_breakpoint(std::uint64_t address) {
  constexpr std::size_t registers = offsetof(user, u_debugreg);
  constexpr std::size_t control = registers + 7 * sizeof(std::uint64_t);
  if (address == 0) return ptrace(PTRACE_POKEUSER, pid_, control, nullptr) == 0;
  return ptrace(PTRACE_POKEUSER, pid_, registers, as_pointer(address)) == 0 &&
         ptrace(PTRACE_POKEUSER, pid_, control, as_pointer(1)) == 0;
}

bool Victim::run_to_address(std::uint64_t wanted, std::uint32_t hits) {
  if (!set_breakpoint(wanted)) return false;
  for (std::uint32_t hit = 0; hit < hits; ++hit) {
    if (!go_on(PTRACE_CONT) || address() != wanted) return false;
  }
  return true;
}

// The victim stands before the `rep` instruction.
bool Victim::run_into_repeat(const Point& point) {
  user_regs_struct registers{};
  if (ptrace(PTRACE_GETREGS, pid_, nullptr, &registers) != 0) return false;
  const std::uint64_t total = registers.rcx;
  if (total != point.count_left + point.repeat) return false;
  const std::uint32_t before = point.repeat - 1;
  if (before != 0) {
    const std::uint64_t after = registers.rip + decode(code_at(registers.rip)).bytes;
    registers.rcx = before;
    if (ptrace(PTRACE_SETREGS, pid_, nullptr, &registers) != 0) return false;
    if (!run_to_address(after, 1)) return false;
    if (ptrace(PTRACE_GETREGS, pid_, nullptr, &registers) != 0 || registers.rcx != 0) return false;
    registers.rip = point.address;
    registers.rcx = total - before;
    if (ptrace(PTRACE_SETREGS, pid_, nullptr, &registers) != 0) return false;
  }
  if (!set_breakpoint(0) || !step()) return false;
  const State now = state();
  return now.address == point.address && now.count == point.count_left;
}

bool Victim::step_to(const Trace& trace, std::size_t point) {
  for (; at_ < point; ++at_) {
    if (address() != trace.points[at_].address || !step()) return false;
  }
  const State now = state();
  if (point == trace.end()) return decode(code_at(now.address)).kind == InstructionKind::mark;
  const Point& wanted = trace.points[point];
  return now.address == wanted.address && (wanted.repeat == 0 || now.count == wanted.count_left);
}

bool Victim::run_to(const Trace& trace, std::size_t point) {
  if (point > trace.end()) return fall_asleep(trace, point == trace.woken());
  if (!woken_ && trace.sleeps() && point > trace.sleeps_at) {
    if (at_ < trace.sleeps_at && !run_to(trace, trace.sleeps_at)) return false;
    operation_.wake();
    woken_ = true;
  }
  if (reach == Reach::step) return step_to(trace, point);
  if (point == trace.end()) return run_to_end();
  const Point& wanted = trace.points[point];
  // Entries between here and there. At the first mark the breakpoint still fires on the instruction that
  // comes next; where a breakpoint has stopped the victim, the kernel lets it pass that one once.
  std::uint32_t hits = wanted.occurrence + 1;
  if (at_ != 0) {
    for (std::size_t i = 0; i <= at_; ++i) {
      if (trace.points[i].address == wanted.address && trace.points[i].repeat == 0) --hits;
    }
  }
  at_ = point;
  if (hits != 0 && point != 0 && !run_to_address(wanted.address, hits)) return false;
  if (wanted.repeat != 0) return run_into_repeat(wanted);
  return address() == wanted.address;
}

bool Victim::run_to_end() {
  if (!set_breakpoint(0) || !go_on(PTRACE_CONT)) return false;
  return decode(code_at(address() - 1)).kind == InstructionKind::mark;
}

// Into the system call, without anything that would end it at once; then, perhaps, out of its sleep, with
// the kill close behind the wake-up.
bool Victim::fall_asleep(const Trace& trace, bool then_wake) {
  if (!run_to(trace, trace.sleeps_at) || !set_breakpoint(0)) return false;
  if (ptrace(PTRACE_CONT, pid_, nullptr, nullptr) != 0) return false;
  if (!wait_until_asleep(pid_)) return false;
  if (then_wake) operation_.wake();
  return true;
}

bool wait_until_asleep(pid_t pid) {
  constexpr int looks_max = 100'000;
  for (int looks = 0; looks < looks_max; ++looks) {
    switch (process_state(pid)) {
      case 'S': return true;
      case 'Z':
      case 't': return false;
      default: sched_yield();
    }
  }
  return false;
}

namespace {
class Nothing final : public Operation {
 public:
  void act(int) override { asm volatile("nop; nop" ::: "memory"); }
  void check(Verdict&) override {}
};
}  // namespace

Ability find_ability() {
  const pid_t child = fork();
  if (child == 0) _exit(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) give_up("sweep: try to trace a child");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return {};
  Nothing nothing;
  Trace first_step;
  {
    Victim victim(nothing, 0);
    for (int i = 0; i < 3; ++i) {
      first_step.points.push_back({victim.state().address, 0, 0, 0});
      if (!victim.step()) return {};
    }
  }
  Victim victim(nothing, 0);
  return {true, victim.run_to(first_step, 2)};
}

}  // namespace bulkhead::sweep
