#include "ipc/delivery_ledger.hpp"

#include <algorithm>

#include <bulkhead/error.hpp>

namespace bulkhead::ipc {

bool DeliveryLedger::acknowledge(std::uint64_t index) noexcept {
  end_life(index);
  covered_ = std::max(covered_, index);
  return settle();
}

bool DeliveryLedger::release(std::uint64_t index) noexcept {
  end_life(index);
  if (index > covered_) {
    next_ = std::min(next_, index);
    return false;
  }
  return settle();  // a later acknowledgement had covered it
}

void DeliveryLedger::end_life(std::uint64_t index) noexcept {
  BULKHEAD_ASSERT(index >= first_ && index < limit_ && at(index).live != 0);
  --at(index).live;
}

bool DeliveryLedger::settle() noexcept {
  // What was released and is now covered does not come again.
  next_ = std::max(next_, std::min(covered_ + 1, limit_));
  const std::uint64_t before = first_;
  while (first_ != limit_ && first_ <= covered_ && at(first_).live == 0) {
    cursor_ = at(first_).end;
    ++first_;
  }
  return first_ != before;
}

void DeliveryLedger::grow() {
  std::vector<Delivery> larger(slots_.size() * 2);
  for (std::uint64_t index = first_; index != limit_; ++index) {
    larger[index & (larger.size() - 1)] = at(index);
  }
  slots_.swap(larger);
}

}  // namespace bulkhead::ipc
