// How long one receive tries again before it sleeps. On a socket each try is a system call, so trying
// pays only while messages come faster than a sleeper could be woken.
#pragma once

#include <bulkhead/channel.hpp>

#include <chrono>
#include <optional>
#include <thread>

#include "ipc/sleeper.hpp"

namespace bulkhead::ipc {

// Lives for one call of receive; what is learnt stays in `pace`.
class SocketSpin {
 public:
  SocketSpin(WaitMode mode, SpinPace& pace) noexcept : mode_(mode), pace_(pace) {}

  // After a try in vain: whether to try again at once. From the first "no" on it is always "no".
  bool goes_on() noexcept {
    if (sleeping_) return false;
    if (!began_) began_ = Clock::now();
    if (Clock::now() - *began_ < limit()) return true;
    sleeping_ = true;
    return false;
  }
  void ended() noexcept {
    if (!began_ || mode_ != WaitMode::adaptive) return;
    const auto waited = Clock::now() - *began_;
    sleeping_ ? pace_.slept(waited) : pace_.arrived(waited);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds spin_limit{1};

  // With one processor whoever spins keeps the other end from answering.
  std::chrono::nanoseconds limit() const noexcept {
    static const bool alone = std::thread::hardware_concurrency() == 1;
    if (alone || mode_ == WaitMode::block) return std::chrono::nanoseconds::zero();
    return mode_ == WaitMode::spin ? spin_limit : pace_.budget();
  }

  const WaitMode mode_;
  SpinPace& pace_;
  std::optional<Clock::time_point> began_;
  bool sleeping_ = false;
};

}  // namespace bulkhead::ipc
