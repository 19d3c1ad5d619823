// Which processors a benchmark runs on. Used by those that pin two processes.
#pragma once

#include <sched.h>
#include <bulkhead/error.hpp>

#include "bench/contestant.hpp"

namespace bulkhead::bench {

// The caller's own affinity, put back at the end.
class Affinity {
 public:
  Affinity() noexcept {
    CPU_ZERO(&before_);
    ::sched_getaffinity(0, sizeof before_, &before_);
  }
  ~Affinity() { ::sched_setaffinity(0, sizeof before_, &before_); }
  Affinity(const Affinity&) = delete;
  Affinity& operator=(const Affinity&) = delete;

  Result<Processors> first_two() const {
    std::vector<int> found;
    for (int cpu = 0; cpu < CPU_SETSIZE && found.size() < 2; ++cpu) {
      if (CPU_ISSET(static_cast<std::size_t>(cpu), &before_)) found.push_back(cpu);
    }
    if (found.size() == 2) return Processors{found[0], found[1]};
    return make_error(Errc::unsupported,
                      "this benchmark needs two processors that this process may run on");
  }

 private:
  cpu_set_t before_;
};

}  // namespace bulkhead::bench
