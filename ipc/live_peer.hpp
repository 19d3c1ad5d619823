// The living peer as one direction of an end sees it: where its words are, and how to wake it. Used by the
// endpoints of every transport; knows no lane.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "ipc/peer_roster.hpp"
#include "ipc/segment.hpp"
#include "ipc/sleeper.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::ipc {

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
  // The doorbells that this incarnation polls; null while only those of another one are here.
  const Doorbells* bells() const noexcept { return bells_of(segment.get(), doorbells.get()); }
  static const Doorbells* bells_of(const PeerSegment* peer, const Doorbells* bells) noexcept {
    return peer != nullptr && bells != nullptr && bells->epoch == peer->facts().epoch ? bells
                                                                                      : nullptr;
  }
  // For `single` peers: it has called close(). Where a successor comes, the supervisor says so.
  bool has_closed() const noexcept {
    // sync page.closed: acquire; pairs with the close() of its endpoint; shows all that was committed before
    return segment && segment->page().closed.load(std::memory_order_acquire) != 0;
  }
};

// Our end of a doorbell, as one direction polls it.
class BellPoll {
 public:
  int fd(const std::shared_ptr<const Doorbells>& bells,
         base::UniqueFd Doorbells::*which) const noexcept {
    return bells && bells != ended_ ? (*bells.*which).get() : -1;
  }
  // An ended connection polls readable for ever; the next incarnation brings a new one.
  void drain(const std::shared_ptr<const Doorbells>& bells,
             base::UniqueFd Doorbells::*which) noexcept {
    if (fd(bells, which) >= 0 && !Doorbells::drain(*bells.*which)) ended_ = bells;
  }

 private:
  std::shared_ptr<const Doorbells> ended_;
};

// Wakes the peer when it sleeps, once per sleep.
class Ringer {
 public:
  explicit Ringer(std::atomic<std::uint32_t>& own_bell) noexcept : bell_(own_bell) {}

  // After publishing and waker_barrier(): whether the peer sleeps and has not been rung for it.
  bool is_asleep(const std::atomic<std::uint32_t>& arming) const noexcept {
    // relaxed: waker_barrier() ordered it after what we published.
    const std::uint32_t armed = arming.load(std::memory_order_relaxed);
    return armed != 0 && armed != rung_;
  }
  // False when the peer waits for a doorbell that we do not have in this picture of the roster.
  bool ring_if_asleep(const std::atomic<std::uint32_t>& arming,
                      const base::UniqueFd* doorbell) noexcept {
    // relaxed: as in is_asleep()
    const std::uint32_t armed = arming.load(std::memory_order_relaxed);
    return armed == 0 || armed == rung_ || ring(armed, doorbell);
  }
  // The same by the doorbell that `which` names, also one that came since the peer was adopted: it may have come
  // before the peer armed, and then nobody else rings. What comes later is rung by who brings it.
  void wake(const std::atomic<std::uint32_t>& arming, const LivePeer& peer,
            const PeerRoster& roster, base::UniqueFd Doorbells::*which) noexcept;
  void forget() noexcept { rung_ = 0; }  // another incarnation counts anew
  std::uint64_t wakes() const noexcept { return wakes_.get(); }

 private:
  bool ring(std::uint32_t armed, const base::UniqueFd* doorbell) noexcept;

  std::atomic<std::uint32_t>& bell_;
  std::uint32_t rung_ = 0;
  Counter wakes_;
};

}  // namespace bulkhead::ipc
