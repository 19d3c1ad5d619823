// How a process goes to sleep on shared words and how the other side wakes it: the barrier between
// "I sleep" and "I committed", and the futex. Used by the lanes' endpoint; knows no lane.
//
// Armings. A sleeper stores a word {sequence:30, how:2} in its own page, then the barrier, then
// looks once more, then sleeps. A waker publishes, then the barrier, then reads that word; when it
// shows a sleeper it rings, once per sequence. Each reads what the other wrote after its own write
// and a full barrier, so at least one of the two sees the other.
//
// The barrier. Where both processes are registered for membarrier, the sleeper pays for both: the
// system call makes every running thread of registered processes pass a full barrier, and the
// waker, who does this for each message, needs none but the compiler's. Where one is not, both
// sides need a real fence: one on the sleeper's side alone loses wake-ups.
//
// | tag       | writer            | reader           | visible after it         | killed in between               |
// |-----------|-------------------|------------------|--------------------------|---------------------------------|
// | wake.arm  | sleeper           | waker            | nothing but the word     | nobody sleeps; a ring for nobody|
// | wake.bell | waker             | sleeper          | what was published first | the death itself wakes, through |
// |           |                   |                  |                          | the attention word              |
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>

namespace bulkhead::ipc {

enum class Sleep : std::uint32_t { awake = 0, on_futex = 1, on_doorbell = 2 };

constexpr std::uint32_t arming(std::uint32_t sequence, Sleep how) noexcept {
  return sequence << 2 | static_cast<std::uint32_t>(how);
}
constexpr Sleep sleep_of(std::uint32_t word) noexcept { return static_cast<Sleep>(word & 3); }

// Registers this process once; true when it is registered. Costs 20 us before the first thread is
// started and milliseconds after it, so a worker does it first. A forked child inherits it.
bool register_membarrier() noexcept;

enum class Barrier : std::uint8_t { fences, membarrier };
void sleeper_barrier(Barrier) noexcept;

// Between publishing and reading the sleeper's word.
inline void waker_barrier(Barrier barrier) noexcept {
  if (barrier == Barrier::fences) {
    // sync wake.arm: seq_cst fence; pairs with sleeper_barrier(); orders our publishing before our look
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } else {
    // sync wake.arm: fence for the compiler; pairs with sleeper_barrier(), whose system call is the barrier here
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

struct FutexWatch {
  const std::atomic<std::uint32_t>* word;
  std::uint32_t expected;
};

// Sleeps until one of at most three words differs from what is expected, somebody wakes it, a signal
// comes, or the time is reached; false only for the last. Spurious returns are allowed. Before
// Linux 5.16 only the last word wakes at once; a change of another is seen within 50 ms.
bool futex_wait(std::span<const FutexWatch> watches,
                std::chrono::steady_clock::time_point until) noexcept;

// What futex_wait() does on such a kernel.
bool futex_wait_sliced(std::span<const FutexWatch> watches,
                       std::chrono::steady_clock::time_point until) noexcept;

// Adds one to the word and wakes who sleeps on it.
void ring(std::atomic<std::uint32_t>& bell) noexcept;

inline void cpu_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

}  // namespace bulkhead::ipc
