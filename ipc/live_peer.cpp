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

void Ringer::wake(const std::atomic<std::uint32_t>& arming, const LivePeer& peer,
                  const PeerRoster& roster, base::UniqueFd Doorbells::*which) noexcept {
  const auto bell_of = [&](const Doorbells* bells) {
    return bells == nullptr ? nullptr : &(bells->*which);
  };
  if (ring_if_asleep(arming, bell_of(peer.bells()))) return;
  const auto newest = roster.doorbells();
  ring_if_asleep(arming, bell_of(LivePeer::bells_of(peer.segment.get(), newest.get())));
}

}  // namespace bulkhead::ipc
