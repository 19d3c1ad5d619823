// Which faults `chaos` makes, and when: pure, so that the same seed over the same names is the same schedule whatever
// becomes of the system. Used by chaos.cpp; knows no process.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bulkhead::cli {

enum class FaultKind : std::uint8_t {
  kill,  // SIGKILL
  stop,  // SIGSTOP for a while
  slow,  // stopped half of the time
  hang,  // SIGSTOP until its watchdog, or whoever else watches it, kills it
};
inline constexpr FaultKind fault_kinds[] = {FaultKind::kill, FaultKind::stop, FaultKind::slow,
                                            FaultKind::hang};
std::string_view to_string(FaultKind) noexcept;

struct FaultTarget {
  bool is_watched = false;  // somebody kills it when it hangs
};

struct Fault {
  std::chrono::nanoseconds at;  // from the beginning
  std::size_t target;
  FaultKind kind;
  std::chrono::nanoseconds length;  // stop, slow: how long

  bool operator==(const Fault&) const = default;
};

struct ChaosPlan {
  std::chrono::nanoseconds duration = std::chrono::seconds(30);
  double rate = 2;  // faults a second, at random moments
  std::uint64_t seed = 1;
};

// In the order of their times. No targets: no faults.
std::vector<Fault> make_schedule(const ChaosPlan&, const std::vector<FaultTarget>& targets);

}  // namespace bulkhead::cli
