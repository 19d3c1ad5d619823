// Which received messages are still out, which came back, and up to where everything is done with.
// Private memory of the receiver, used by the endpoints of every transport; knows no lane and no page.
// One thread.
//
//   done with      | handed out, each live or let go            | not yet taken
//   ---------------|--------------------------------------------|--------------
//                  first_                  next_                limit_
//
// Messages are named by their index on the link. Acknowledging one covers all before it, but the
// cursor passes nobody who is live. Releasing one makes next_ fall back: it and what came after it
// are delivered again, in order.
#pragma once

#include <algorithm>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ipc/end_page.hpp"

namespace bulkhead::ipc {

class DeliveryLedger {
 public:
  struct Delivery {
    std::span<const std::byte> bytes;
    // The cursor once it is done with, packed: it is read soon after it was written, and a processor hands on
    // what it has not stored yet only in pieces that are no larger than they were written.
    std::uint64_t end = 0;
    std::uint32_t live = 0;  // messages that show it
    bool redelivered = false;
  };

  // The first message to come is number `acknowledged + 1`.
  explicit DeliveryLedger(std::uint64_t acknowledged)
      : slots_(64),
        first_(acknowledged + 1),
        next_(first_),
        limit_(first_),
        covered_(acknowledged) {}

  // A message from the lane, live from now on; its index is limit() before the call.
  void add(std::span<const std::byte> bytes, Cursor end, bool redelivered) {
    if (limit_ - first_ > mask_) grow();
    Delivery& delivery = at(limit_);
    delivery.bytes = bytes;
    delivery.end = pack(end);
    delivery.live = 1;
    delivery.redelivered = redelivered;
    next_ = ++limit_;
  }

  // A message that was released: live again, and marked.
  bool has_returned() const noexcept { return next_ != limit_; }
  std::uint64_t next() const noexcept { return next_; }
  const Delivery& deliver_again() noexcept {
    Delivery& delivery = at(next_++);
    ++delivery.live;
    delivery.redelivered = true;
    return delivery;
  }

  // Each ends one life. True when the cursor moved: settled() and cursor() say where to.
  bool acknowledge(std::uint64_t index) noexcept {
    end_life(index);
    if (index == first_ && covered_ < index && next_ > index && at(index).live == 0) {
      covered_ = index;  // the common case: the oldest, and nothing after it is covered
      cursor_ = at(index).end;
      ++first_;
      return true;
    }
    covered_ = std::max(covered_, index);
    return settle();
  }
  bool release(std::uint64_t index) noexcept;

  std::uint64_t limit() const noexcept { return limit_; }
  std::uint64_t settled() const noexcept { return first_ - 1; }  // messages done with on the link
  Cursor cursor() const noexcept { return unpack(cursor_); }     // after the last of them

 private:
  Delivery& at(std::uint64_t index) noexcept { return slots_[index & mask_]; }
  void end_life(std::uint64_t index) noexcept {
    BULKHEAD_ASSERT(index >= first_ && index < limit_ && at(index).live != 0);
    --at(index).live;
  }
  bool settle() noexcept;
  void grow();

  std::vector<Delivery> slots_;  // a power of two of them, by index
  std::uint64_t mask_ = 63;      // their number, less one
  std::uint64_t first_, next_, limit_;
  std::uint64_t covered_;     // acknowledged, by itself or by a later one
  std::uint64_t cursor_ = 0;  // packed
};

}  // namespace bulkhead::ipc
