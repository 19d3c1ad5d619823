// As much of x86-64 machine code as the tracer must understand: marks, system calls, repeated string
// instructions. Pure; knows no process.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bulkhead::sweep {

enum class InstructionKind : std::uint8_t { plain, mark, system_call, repeated };

struct Instruction {
  InstructionKind kind = InstructionKind::plain;
  std::uint8_t bytes = 0;  // of a repeated one
};

// `word`: the eight bytes at the address, little-endian. A repeated string instruction is prefixes in any
// order (F2 or F3 among them), then REX, then A4..A7 or AA..AF (Intel SDM, REP).
constexpr Instruction decode(std::uint64_t word) noexcept {
  std::array<std::uint8_t, 8> code{};
  for (std::size_t i = 0; i < code.size(); ++i) code[i] = static_cast<std::uint8_t>(word >> 8 * i);
  if (code[0] == 0xCC) return {InstructionKind::mark, 1};
  if (code[0] == 0x0F && code[1] == 0x05) return {InstructionKind::system_call, 2};
  bool repeats = false;
  std::size_t at = 0;
  for (; at < 4; ++at) {
    if (code[at] == 0xF2 || code[at] == 0xF3) {
      repeats = true;
    } else if (code[at] != 0x66 && code[at] != 0x67) {
      break;
    }
  }
  if ((code[at] & 0xF0) == 0x40) ++at;
  const bool is_string =
      code[at] >= 0xA4 && code[at] <= 0xAF && code[at] != 0xA8 && code[at] != 0xA9;
  if (!repeats || !is_string) return {};
  return {InstructionKind::repeated, static_cast<std::uint8_t>(at + 1)};
}

static_assert(decode(0xCC).kind == InstructionKind::mark);
static_assert(decode(0x050F).kind == InstructionKind::system_call);
static_assert(decode(0xA4F3).kind == InstructionKind::repeated && decode(0xA4F3).bytes == 2);
static_assert(decode(0xAB48F3).kind == InstructionKind::repeated && decode(0xAB48F3).bytes == 3);
static_assert(decode(0xFA1E0FF3).kind == InstructionKind::plain);  // endbr64
static_assert(decode(0xC3F3).kind == InstructionKind::plain);      // rep ret

}  // namespace bulkhead::sweep
