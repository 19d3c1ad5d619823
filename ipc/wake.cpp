#include "ipc/wake.hpp"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

#include <bulkhead/error.hpp>

namespace bulkhead::ipc {
namespace {

using Clock = std::chrono::steady_clock;

timespec to_timespec(std::chrono::nanoseconds span) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
  return {seconds.count(), (span - seconds).count()};
}

// The kernel only reads the word, even through a read-only mapping (futex(2) speaks of "int *").
const std::uint32_t* address_of(const std::atomic<std::uint32_t>& word) noexcept {
  return reinterpret_cast<const std::uint32_t*>(&word);
}

bool wait_both(std::span<const FutexWatch> watches, Clock::time_point until,
               bool& unsupported) noexcept {
  std::array<futex_waitv, 2> list{};
  for (std::size_t i = 0; i < watches.size(); ++i) {
    list[i].val = watches[i].expected;
    list[i].uaddr = reinterpret_cast<std::uintptr_t>(watches[i].word);
    list[i].flags = FUTEX_32;
  }
  const timespec when = to_timespec(until.time_since_epoch());
  const long woken =
      ::syscall(SYS_futex_waitv, list.data(), watches.size(), 0, &when, CLOCK_MONOTONIC);
  if (woken >= 0) return true;
  unsupported = errno == ENOSYS || errno == EPERM;  // EPERM: an old seccomp filter in a container
  return errno != ETIMEDOUT;
}

bool wait_one(const FutexWatch& watch, Clock::time_point until) noexcept {
  const timespec when = to_timespec(until.time_since_epoch());
  // FUTEX_WAIT_BITSET takes an absolute time on CLOCK_MONOTONIC.
  return ::syscall(SYS_futex, address_of(*watch.word), FUTEX_WAIT_BITSET, watch.expected, &when,
                   nullptr, FUTEX_BITSET_MATCH_ANY) == 0 ||
         errno != ETIMEDOUT;
}

bool differs(const FutexWatch& watch) noexcept {
  // sync wake.bell: acquire; pairs with ring(); shows what was published before the ring
  return watch.word->load(std::memory_order_acquire) != watch.expected;
}

}  // namespace

bool register_membarrier() noexcept {
  static const bool registered =
      ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
  return registered;
}

void sleeper_barrier(Barrier barrier) noexcept {
  if (barrier == Barrier::membarrier) {
    // It cannot fail: it needs no memory, and the kernel offers it, or we were not registered.
    BULKHEAD_ASSERT(::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0);
    return;
  }
  // sync wake.arm: seq_cst fence; pairs with waker_barrier(); orders our arming before our last look
  waker_barrier(Barrier::fences);
}

bool futex_wait(std::span<const FutexWatch> watches, Clock::time_point until) noexcept {
  BULKHEAD_ASSERT(!watches.empty() && watches.size() <= 2);
  static std::atomic<bool> has_waitv{true};
  if (watches.size() == 1) return wait_one(watches[0], until);
  // relaxed: a fact about the kernel, found out by each thread for itself if need be.
  if (has_waitv.load(std::memory_order_relaxed)) {
    bool unsupported = false;
    const bool changed = wait_both(watches, until, unsupported);
    if (!unsupported) return changed;
    has_waitv.store(false, std::memory_order_relaxed);  // relaxed: as above
  }
  for (;;) {
    if (differs(watches[1])) return true;
    const auto slice = Clock::now() + std::chrono::milliseconds(50);
    if (slice >= until) return wait_one(watches[0], until) || differs(watches[1]);
    if (wait_one(watches[0], slice)) return true;
  }
}

void ring(std::atomic<std::uint32_t>& bell) noexcept {
  // sync wake.bell: release; pairs with the sleeper's load of the bell; publishes what the waker stored
  bell.fetch_add(1, std::memory_order_release);
  ::syscall(SYS_futex, address_of(bell), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

int usable_cpus() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  // More CPUs than the set holds: the call fails, and there are certainly enough.
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : INT_MAX;
}

}  // namespace bulkhead::ipc
