// Which faults `chaos` makes, and when: pure, so that the same seed over the same names is the same schedule whatever
// becomes of the system. Used by chaos.cpp; knows no process.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace bulkhead::cli {

enum class FaultKind : std::uint8_t {
  kill,  // SIGKILL
  stop,  // SIGSTOP for a while
  slow,  // stopped half of the time
  hang,  // SIGSTOP until its watchdog, or whoever else watches it, kills it
  leak,  // has more and more memory and descriptors for a while, and is then killed for it
  drop,  // one of its descriptors for a link is useless from then on
  oom,   // runs into its limit of memory, and dies of that
};
inline constexpr FaultKind fault_kinds[] = {FaultKind::kill, FaultKind::stop, FaultKind::slow,
                                            FaultKind::hang, FaultKind::leak, FaultKind::drop,
                                            FaultKind::oom};
std::string_view to_string(FaultKind) noexcept;
std::optional<FaultKind> fault_kind(std::string_view name) noexcept;

struct FaultTarget {
  bool is_watched = false;   // somebody kills it when it hangs
  bool has_runtime = false;  // it can be made to allocate
  bool has_links = false;    // ... and finds out by itself that one of them is cut
};

bool takes(const FaultTarget&, FaultKind) noexcept;

struct Fault {
  std::chrono::nanoseconds at;  // from the beginning
  std::size_t target;
  FaultKind kind;
  std::chrono::nanoseconds length;  // stop, slow, leak: how long
  double choice;                    // drop: which descriptor, in [0, 1)

  bool operator==(const Fault&) const = default;
};

struct ChaosPlan {
  std::chrono::nanoseconds duration = std::chrono::seconds(30);
  double rate = 2;  // faults a second, at random moments
  std::uint64_t seed = 1;
  std::optional<FaultKind> only = std::nullopt;  // then every target takes it
};

// In the order of their times. No targets: no faults.
std::vector<Fault> make_schedule(const ChaosPlan&, const std::vector<FaultTarget>& targets);

}  // namespace bulkhead::cli
