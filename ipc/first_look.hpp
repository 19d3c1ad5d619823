// When a receiver that spins looks for the first time. Used by the shared-memory endpoint; knows no lane.
#pragma once

#include <algorithm>

namespace bulkhead::ipc {

// A look that comes too early is not free: it takes the line from the peer who is about to commit there, and who must
// take it back first. Where one message answers another, the first look is always too early. So whoever had to wait
// the last time pauses before it looks, and whoever did not, looks the sooner the next time. One thread.
class FirstLook {
 public:
  int pauses() const noexcept { return pauses_; }  // before the first look
  // So many pauses, those included, had passed when the message was found.
  void found_after(int pauses) noexcept {
    pauses_ = pauses > pauses_ ? std::min(pauses_ + 1, most) : std::max(pauses_ - 1, 0);
  }

 private:
  static constexpr int most = 2;  // about what a message needs to another core and back
  int pauses_ = 0;
};

}  // namespace bulkhead::ipc
