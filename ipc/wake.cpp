#include "ipc/wake.hpp"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

#include <bulkhead/error.hpp>

namespace bulkhead::ipc {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t watches_max = 3;

timespec to_timespec(std::chrono::nanoseconds span) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
  return {seconds.count(), (span - seconds).count()};
}

// The kernel only reads the word, even through a read-only mapping (futex(2) speaks of "int *").
const std::uint32_t* address_of(const std::atomic<std::uint32_t>& word) noexcept {
  return reinterpret_cast<const std::uint32_t*>(&word);
}

bool wait_all(std::span<const FutexWatch> watches, Clock::time_point until,
              bool& unsupported) noexcept {
  std::array<futex_waitv, watches_max> list{};
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
  BULKHEAD_ASSERT(!watches.empty() && watches.size() <= watches_max);
  static std::atomic<bool> has_waitv{true};
  // relaxed: a fact about the kernel, found out by each thread for itself if need be.
  if (has_waitv.load(std::memory_order_relaxed)) {
    bool unsupported = false;
    const bool changed = wait_all(watches, until, unsupported);
    if (!unsupported) return changed;
    has_waitv.store(false, std::memory_order_relaxed);  // relaxed: as above
  }
  return futex_wait_sliced(watches, until);
}

bool futex_wait_sliced(std::span<const FutexWatch> watches, Clock::time_point until) noexcept {
  for (;;) {
    if (std::any_of(watches.begin(), watches.end(), differs)) return true;
    const auto slice = std::min(until, Clock::now() + std::chrono::milliseconds(50));
    if (wait_one(watches.back(), slice)) return true;
    if (slice == until) return std::any_of(watches.begin(), watches.end(), differs);
  }
}

void ring(std::atomic<std::uint32_t>& bell) noexcept {
  // sync wake.bell: release; pairs with the sleeper's load of the bell; publishes what the waker stored
  bell.fetch_add(1, std::memory_order_release);
  ::syscall(SYS_futex, address_of(bell), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace bulkhead::ipc
