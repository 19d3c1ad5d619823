// How long a receiver tries again before it sleeps. On a socket each try is a system call, so trying
// pays only while messages come faster than a sleeper could be woken.
#pragma once

#include <bulkhead/channel.hpp>

#include <algorithm>
#include <chrono>

namespace bulkhead::ipc {

// Threads: the receiving one.
class SocketSpin {
 public:
  explicit SocketSpin(WaitMode mode) noexcept : mode_(mode) {}

  void begin() noexcept {
    began_ = mode_ == WaitMode::block ? clock::time_point::min() : clock::now();
  }
  bool goes_on() const noexcept {
    if (mode_ == WaitMode::block) return false;
    const auto limit = mode_ == WaitMode::spin ? spin_limit : budget_;
    return limit.count() > 0 && clock::now() - began_ < limit;
  }
  // Adaptive: a spin that paid is allowed to be longer the next time, a vain one is halved; every
  // so often a short one finds out whether the traffic has changed.
  void paid() noexcept {
    budget_ = std::min(budget_max, budget_ * 2 + std::chrono::microseconds(1));
  }
  void was_vain() noexcept {
    if (mode_ != WaitMode::adaptive) return;
    budget_ /= 2;
    if (budget_.count() > 0) return;
    if (++vain_ % probe_every == 0) budget_ = budget_probe;
  }

 private:
  using clock = std::chrono::steady_clock;
  static constexpr std::chrono::microseconds spin_limit{1000}, budget_max{100}, budget_probe{20};
  static constexpr unsigned probe_every = 32;

  WaitMode mode_;
  clock::time_point began_{};
  std::chrono::microseconds budget_ = budget_max;
  unsigned vain_ = 0;
};

}  // namespace bulkhead::ipc
