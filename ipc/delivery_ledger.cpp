#include "ipc/delivery_ledger.hpp"

#include <algorithm>

namespace bulkhead::ipc {

bool DeliveryLedger::release(std::uint64_t index) noexcept {
  end_life(index);
  if (index > covered_) {
    next_ = std::min(next_, index);
    return false;
  }
  return settle();  // a later acknowledgement had covered it
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
  mask_ = slots_.size() - 1;
}

}  // namespace bulkhead::ipc
