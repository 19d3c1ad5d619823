// Who died: turns the keeper's zombies into entries of the exit ring. Used by the keeper alone; must not
// allocate and decides nothing.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <span>

#include "supervisor/keeper_layout.hpp"
#include "supervisor/state_layout.hpp"

namespace bulkhead::supervisor {

struct ReapResult {
  bool appended = false;  // the ring has grown: ring the bell
  bool brain_died = false;
  siginfo_t brain_status{};
};

class KeeperReaper {
 public:
  void attach(keeper_layout::Header&, std::span<keeper_layout::ExitEntry> ring,
              const state_layout::Layout& state) noexcept;

  // Takes every zombie that it may. A worker's zombie is reaped only after its entry is in the ring, and
  // waits while the ring is full; then the others wait behind it, but never the brain.
  ReapResult reap(pid_t brain) noexcept;

  // Entries below `sequence` are done with. True when zombies waited for that: reap again.
  bool acknowledge(std::uint64_t sequence) noexcept;

  // Direct children that claims know and that were not reaped; for a kernel without the `children` file.
  template <class Function>
  void for_each_living_claim(Function&& function) const {
    for (std::uint32_t slot = 0; slot < state_layout::slot_count; ++slot) {
      const auto word = claim_word(slot);
      if (is_unreaped(slot, word)) function(state_layout::claim_pid(word));
    }
  }

 private:
  std::uint64_t claim_word(std::uint32_t slot) const noexcept;
  bool is_unreaped(std::uint32_t slot, std::uint64_t word) const noexcept;
  bool ring_is_full() const noexcept;
  // False: the ring is full. `found` says whether a claim names the process.
  bool record(const siginfo_t&, const rusage&, bool& found) noexcept;
  void append(std::uint32_t slot, std::uint32_t generation, const siginfo_t&,
              const rusage&) noexcept;

  keeper_layout::Header* header_ = nullptr;
  std::span<keeper_layout::ExitEntry> ring_;
  const state_layout::Layout* state_ = nullptr;
  std::array<std::uint32_t, state_layout::slot_count> last_reaped_{};  // generation, per slot
  bool waiting_ = false;  // a zombie waits for room in the ring
};

}  // namespace bulkhead::supervisor
