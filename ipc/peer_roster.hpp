// What an end knows about the incarnations of its peer: their segments, who is dead, who closed, the
// doorbells. Takes link updates from any thread; each direction of the endpoint looks when the
// version moved. Used by the endpoints of every transport; knows no lane.
//
// | tag             | writer           | reader                  | visible after it | killed in between |
// |-----------------|------------------|-------------------------|------------------|-------------------|
// | mailbox.version | PeerRoster::post | Sleeper, PeerRoster::   | under the mutex  | private memory    |
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ipc/endpoint.hpp"
#include "ipc/epoch.hpp"
#include "ipc/segment.hpp"

namespace bulkhead::ipc {

// Our ends of the doorbells: written to when the peer sleeps on its own, polled when we do.
struct Doorbells {
  base::UniqueFd message, space;
  std::uint16_t epoch = 0;

  static void ring(const base::UniqueFd&) noexcept;
  // Takes what is in it; false when the connection is over.
  static bool drain(const base::UniqueFd&) noexcept;
  static bool has_ended(const base::UniqueFd&) noexcept;
};

// A consistent picture, for one direction.
struct PeerView {
  std::uint32_t version = 0;
  // Segments that may hold messages, oldest first; the last one is where the living peer's words are.
  std::vector<std::shared_ptr<const PeerSegment>> segments;
  std::uint16_t dead_through = 0;  // this incarnation and all before it are dead
  bool newest_dead = false;        // nobody lives at the other end
  bool closed = false;             // nobody will come
  std::optional<Error> refused;    // what the newest peer offered is no usable segment
  std::shared_ptr<const Doorbells> doorbells;
};

class PeerRoster {
 public:
  // Whether the peer sends: a segment without a ring is refused then.
  enum class Peer : bool { listens, sends };
  explicit PeerRoster(bool survives_fork, Peer peer = Peer::sends) noexcept
      : survives_fork_(survives_fork), peer_(peer) {}

  void post(LinkUpdate);
  PeerView view() const;

  // Moves when view() has something new; a futex word.
  const std::atomic<std::uint32_t>& version() const noexcept { return version_; }
  std::uint32_t version_now() const noexcept {
    // sync mailbox.version: acquire; pairs with PeerRoster::moved; shows that the mutex guards something new
    return version_.load(std::memory_order_acquire);
  }
  // Makes both directions look, sleeping ones too.
  void nudge() noexcept;

  // The receiver has every message of incarnations before `epoch`.
  void forget_before(std::uint16_t epoch);

  std::uint16_t epoch() const;  // of the living peer, 0 when there is none
  bool is_dead(std::uint16_t epoch) const;
  std::uint64_t violations() const;
  std::shared_ptr<const PeerSegment> newest() const;
  std::shared_ptr<const Doorbells> doorbells() const;

 private:
  void take_segment(std::uint16_t epoch, base::UniqueFd);
  void take_sockets(std::uint16_t epoch, std::vector<base::UniqueFd>);
  void moved() noexcept;
  bool newest_is_dead() const noexcept;

  const bool survives_fork_;
  const Peer peer_;
  std::atomic<std::uint32_t> version_{1};
  mutable std::mutex mutex_;  // guards all below
  std::vector<std::shared_ptr<const PeerSegment>> segments_;
  std::uint16_t newest_ = 0;  // incarnation that offered a segment last, usable or not
  std::uint16_t dead_through_ = 0, closed_through_ = 0;
  bool any_died_ = false, any_closed_ = false;
  std::optional<Error> refused_;
  std::shared_ptr<const Doorbells> doorbells_;
  std::uint64_t violations_ = 0;
};

}  // namespace bulkhead::ipc
