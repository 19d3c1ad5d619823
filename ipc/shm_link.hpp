// What the two directions of a shared-memory end have in common, and how one wakes the peer. Used by
// ShmSender, ShmReceiver and the endpoint that owns them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "ipc/endpoint.hpp"
#include "ipc/peer_roster.hpp"
#include "ipc/segment.hpp"
#include "ipc/sleeper.hpp"

namespace bulkhead::ipc {

struct ShmLink {
  ShmLink(EndSpec end, Segment own) noexcept
      : spec(std::move(end)), segment(std::move(own)), roster(spec.survives_fork) {}

  Error error(Errc errc, const char* what = "") const {
    return make_error(errc, *what == '\0' ? spec.link : spec.link + ": " + what);
  }

  const EndSpec spec;
  Segment segment;
  PeerRoster roster;
  std::atomic<bool> closed{false};  // by us
};

// The living peer as one direction sees it: where its words are and how to wake it.
struct LivePeer {
  std::shared_ptr<const PeerSegment> segment;
  std::shared_ptr<const Doorbells> doorbells;
  Barrier barrier = Barrier::fences;

  // Both ends come to the same answer from the same two headers.
  void adopt(const PeerView& view, const Segment& own) {
    segment = view.segments.empty() ? nullptr : view.segments.back();
    doorbells = view.doorbells;
    barrier = segment && segment->facts().membarrier && own.facts().membarrier ? Barrier::membarrier
                                                                               : Barrier::fences;
  }
  // For `single` peers: it has called close(). Where a successor comes, the supervisor says so.
  bool has_closed() const noexcept {
    // sync page.closed: acquire; pairs with ShmEndpoint::close; shows all that was committed before
    return segment && segment->page().closed.load(std::memory_order_acquire) != 0;
  }
};

// Wakes the peer when it sleeps, once per sleep.
class Ringer {
 public:
  explicit Ringer(std::atomic<std::uint32_t>& own_bell) noexcept : bell_(own_bell) {}

  // After publishing and waker_barrier(). False when the peer waits for a doorbell that we do not
  // have in this picture of the roster.
  bool ring_if_asleep(const std::atomic<std::uint32_t>& arming,
                      const base::UniqueFd* doorbell) noexcept {
    // relaxed: waker_barrier() ordered it after what we published.
    const std::uint32_t armed = arming.load(std::memory_order_relaxed);
    if (armed == 0 || armed == rung_) return true;
    return ring(armed, doorbell);
  }
  void forget() noexcept { rung_ = 0; }  // another incarnation counts anew
  std::uint64_t wakes() const noexcept { return wakes_.get(); }

 private:
  bool ring(std::uint32_t armed, const base::UniqueFd* doorbell) noexcept;

  std::atomic<std::uint32_t>& bell_;
  std::uint32_t rung_ = 0;
  Counter wakes_;
};

}  // namespace bulkhead::ipc
