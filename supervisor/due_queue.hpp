// When each instance's one timer is due, earliest first: a binary heap that knows where each slot
// lies, so that a timer is moved or cancelled in O(log n) and nothing stale is ever in it. Used by
// the core's index; knows nothing of what the timers mean.
#pragma once

#include <vector>

#include "supervisor/core_types.hpp"

namespace bulkhead::supervisor {

class DueQueue {
 public:
  void reset(std::size_t slots);
  void set(Slot, TimeNs due);  // time_never: no timer
  TimeNs next_due() const noexcept { return heap_.empty() ? time_never : due_[heap_.front()]; }
  Slot next_slot() const noexcept { return heap_.front(); }  // only when a timer is set

 private:
  static constexpr std::uint32_t nowhere = ~std::uint32_t{0};

  bool earlier(std::uint32_t left, std::uint32_t right) const noexcept;
  void put(std::uint32_t at, Slot) noexcept;
  void rise(std::uint32_t at) noexcept;
  void sink(std::uint32_t at) noexcept;
  void remove(Slot) noexcept;

  std::vector<Slot> heap_;
  std::vector<std::uint32_t> place_;  // of each slot in heap_
  std::vector<TimeNs> due_;
};

}  // namespace bulkhead::supervisor
