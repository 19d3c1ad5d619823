// Keeps this process, and the victims that it forks, on one CPU: tracer and victim take turns, and on two
// CPUs each turn waits for a wake-up across them. Used while calibrating and by the crew's workers.
#pragma once

#include <sched.h>

#include <cstddef>

namespace bulkhead::sweep {

class OneCpu {
 public:
  // The nth of those that we may use, counted round.
  explicit OneCpu(std::size_t nth) noexcept {
    known_ = sched_getaffinity(0, sizeof before_, &before_) == 0;
    if (!known_) return;
    nth %= static_cast<std::size_t>(CPU_COUNT(&before_));
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &before_) || nth-- != 0) continue;
      cpu_set_t mine;
      CPU_ZERO(&mine);
      CPU_SET(cpu, &mine);
      sched_setaffinity(0, sizeof mine, &mine);
      return;
    }
  }
  OneCpu(const OneCpu&) = delete;
  OneCpu& operator=(const OneCpu&) = delete;
  ~OneCpu() {
    if (known_) sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  cpu_set_t before_{};
  bool known_ = false;
};

}  // namespace bulkhead::sweep
