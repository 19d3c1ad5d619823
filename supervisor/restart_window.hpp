// The failures of one instance that the restart limit still remembers. Part of InstanceState, so it
// is trivially copyable and of fixed size; knows nothing of what happens when the limit is reached.
#pragma once

#include <array>
#include <cstdint>

#include "supervisor/config.hpp"
#include "supervisor/core_types.hpp"

namespace bulkhead::supervisor {

class RestartWindow {
 public:
  // May an instance that fails now be restarted? Not when `count` earlier failures lie less than
  // `within` back: this one would be one more than the limit allows.
  bool admits(const RestartLimit&, TimeNs now) const noexcept;
  void record(TimeNs failure) noexcept;
  void clear() noexcept { size_ = next_ = 0; }
  std::uint32_t failures_since(TimeNs) const noexcept;

 private:
  std::uint32_t size_ = 0, next_ = 0;  // a ring: next_ is where the next failure is written
  std::array<TimeNs, restart_history_max> failures_{};
};

}  // namespace bulkhead::supervisor
