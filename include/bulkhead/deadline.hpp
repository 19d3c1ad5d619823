// When a blocking call gives up. One type for every call, converted to what each system call wants.
#pragma once

#include <atomic>
#include <chrono>

namespace bulkhead {

// Raised once, from any thread, when this process was asked to stop; never lowered.
class StopFlag {
 public:
  bool raised() const noexcept {
    // sync stop.flag: acquire; pairs with raise(); shows what was stored before the request
    return raised_.load(std::memory_order_acquire);
  }
  void raise() noexcept {
    // sync stop.flag: release; pairs with raised(); publishes what the stopper stored before
    raised_.store(true, std::memory_order_release);
  }

 private:
  std::atomic<bool> raised_{false};
};

// A point on CLOCK_MONOTONIC, or never; optionally also "until the worker is asked to stop".
// Threads: a value. Ownership: a stop flag must outlive every call that uses the deadline.
class Deadline {
 public:
  using clock = std::chrono::steady_clock;

  static constexpr Deadline never() noexcept { return Deadline{clock::time_point::max()}; }
  static constexpr Deadline at(clock::time_point when) noexcept { return Deadline{when}; }
  static constexpr Deadline now() noexcept { return Deadline{clock::time_point::min()}; }
  static Deadline in(clock::duration span) noexcept {
    const auto start = clock::now();
    return span > clock::time_point::max() - start ? never() : Deadline{start + span};
  }

  // The same deadline, which a raised flag ends early with Errc::stopped.
  constexpr Deadline unless(const StopFlag& flag) const noexcept {
    Deadline copy = *this;
    copy.stop_ = &flag;
    return copy;
  }

  constexpr bool is_never() const noexcept { return when_ == clock::time_point::max(); }
  constexpr bool is_now() const noexcept { return when_ == clock::time_point::min(); }
  constexpr clock::time_point when() const noexcept { return when_; }
  bool expired() const noexcept { return is_now() || (!is_never() && clock::now() >= when_); }
  bool stopped() const noexcept { return stop_ != nullptr && stop_->raised(); }
  // Whether a stop flag may end it early: a wait that the flag cannot wake must then look now and then.
  constexpr bool stoppable() const noexcept { return stop_ != nullptr; }

  // Time left: zero when expired, duration::max() when never.
  clock::duration remaining() const noexcept {
    if (is_never()) return clock::duration::max();
    if (is_now()) return clock::duration::zero();
    const auto left = when_ - clock::now();
    return left > clock::duration::zero() ? left : clock::duration::zero();
  }

 private:
  constexpr explicit Deadline(clock::time_point when) noexcept : when_(when) {}

  clock::time_point when_;
  const StopFlag* stop_ = nullptr;
};

}  // namespace bulkhead
