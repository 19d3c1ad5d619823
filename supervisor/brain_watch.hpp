// When a brain counts as hung, and when the next one is started: two decisions of the keeper as plain
// functions of time. Knows no process and no clock.
#pragma once

#include <algorithm>
#include <cstdint>

namespace bulkhead::supervisor {

// Looked at every `interval_ns`. The keeper's own lateness (SIGSTOP, a frozen machine) would look like a
// silent brain, so a late look only begins the wait anew.
class BrainWatch {
 public:
  static constexpr std::uint64_t interval_ns = 500'000'000;
  static constexpr std::uint64_t silence_max_ns = 2'000'000'000;
  static constexpr std::uint64_t takeover_max_ns =
      5'000'000'000;  // recovery beats, too, but exec may be slow

  void begin(std::uint64_t beat, std::uint64_t now) noexcept {
    beat_ = beat;
    changed_at_ = looked_at_ = now;
  }

  bool is_hung(std::uint64_t beat, bool taken_over, std::uint64_t now) noexcept {
    const bool late = now - looked_at_ > 2 * interval_ns;
    looked_at_ = now;
    if (beat != beat_ || late) {
      beat_ = beat;
      changed_at_ = now;
    }
    return now - changed_at_ >= (taken_over ? silence_max_ns : takeover_max_ns);
  }

 private:
  std::uint64_t beat_ = 0;
  std::uint64_t changed_at_ = 0;
  std::uint64_t looked_at_ = 0;
};

// A brain that had taken over is replaced at once; one that never did, with back-off. So are those that come after many in a
// row that did not live long: something kills them all, and without a pause it has the processor, too.
class BrainRestart {
 public:
  static constexpr std::uint64_t first_delay_ns = 10'000'000;
  static constexpr std::uint64_t longest_delay_ns = 1'000'000'000;
  static constexpr std::uint64_t short_life_ns = 100'000'000;
  static constexpr std::uint32_t short_lives_max = 20;

  std::uint64_t delay_after_death(bool had_taken_over, std::uint64_t lived_ns) noexcept {
    if (!had_taken_over) return delay(++failures_);
    failures_ = 0;
    short_lives_ = lived_ns < short_life_ns ? short_lives_ + 1 : 0;
    return short_lives_ <= short_lives_max ? 0 : delay(short_lives_ - short_lives_max);
  }
  std::uint32_t failures() const noexcept { return failures_; }  // in a row

 private:
  static std::uint64_t delay(std::uint32_t times) noexcept {
    return std::min(longest_delay_ns, first_delay_ns << std::min(times - 1, 10U));
  }

  std::uint32_t failures_ = 0, short_lives_ = 0;
};

}  // namespace bulkhead::supervisor
