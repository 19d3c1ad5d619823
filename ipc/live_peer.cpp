#include "ipc/live_peer.hpp"

namespace bulkhead::ipc {

bool Ringer::ring(std::uint32_t armed, const base::UniqueFd* doorbell) noexcept {
  switch (sleep_of(armed)) {
    case Sleep::on_futex: ipc::ring(bell_); break;
    case Sleep::on_doorbell:
      if (doorbell == nullptr || !doorbell->is_open()) return false;
      Doorbells::ring(*doorbell);
      break;
    default: return true;  // a word that the protocol does not know: nobody to wake
  }
  rung_ = armed;
  wakes_.add(1);
  return true;
}

}  // namespace bulkhead::ipc
