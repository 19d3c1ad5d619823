// What the two directions of a shared-memory end have in common. Used by ShmSender, ShmReceiver and the
// endpoint that owns them.
#pragma once

#include <atomic>
#include <string>

#include "ipc/endpoint.hpp"
#include "ipc/live_peer.hpp"
#include "ipc/peer_roster.hpp"
#include "ipc/segment.hpp"
#include "ipc/sleeper.hpp"

namespace bulkhead::ipc {

struct ShmLink {
  ShmLink(EndSpec end, Segment own) noexcept
      : spec(std::move(end)),
        segment(std::move(own)),
        roster(spec.survives_fork, spec.topic && spec.side == Side::from
                                       ? PeerRoster::Peer::listens
                                       : PeerRoster::Peer::sends) {}

  Error error(Errc errc, const char* what = "") const {
    return make_error(errc, *what == '\0' ? spec.link : spec.link + ": " + what);
  }

  const EndSpec spec;
  Segment segment;
  PeerRoster roster;
  std::atomic<bool> closed{false};  // by us
};

}  // namespace bulkhead::ipc
