// The sending direction of a shared-memory end: commits into our lane, obeys the newest incarnation
// of the peer's consumer, waits for space. Used by the endpoint only. One thread at a time.
//
// A new consumer incarnation takes over the cursor of its predecessor before its segment is offered,
// so until that segment is here the old cursor stands as a lower bound.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>

#include "ipc/lane_producer.hpp"
#include "ipc/shm_link.hpp"
#include "ipc/slab_pool.hpp"

namespace bulkhead::ipc {

class ShmSender {
 public:
  explicit ShmSender(ShmLink& link);

  // The common case, inline: there is room and nothing else is going on.
  [[gnu::always_inline]] bool send_at_once(std::span<const std::byte> bytes, Deadline deadline) {
    if (sleeper_.attention_moved() || link_.roster.version_now() != seen_ || deadline.stopped() ||
        trouble_ != Errc{} || (single_ && peer_.has_closed()) || bytes.size() > inline_most_ ||
        !lane_.push(bytes)) {
      return false;
    }
    sent(bytes.size());
    return true;
  }
  Result<void> send(std::span<const std::byte> bytes, Deadline);  // everything else

  Result<void> send_batch(MessageBatch, Deadline);

  Result<Endpoint::Lent> lend(std::size_t bytes, Deadline);
  Result<void> commit(const Endpoint::Lent&, Deadline);
  void abandon(const Endpoint::Lent&) noexcept;

  bool prepare_wait(std::size_t bytes);
  void finish_wait() noexcept;
  int doorbell() const noexcept;

  std::uint64_t committed() const noexcept { return base_ + sent_.get(); }  // any thread, as below
  std::uint64_t sent() const noexcept { return sent_.get(); }
  std::uint64_t bytes_sent() const noexcept { return bytes_.get(); }
  std::uint64_t sleeps() const noexcept { return sleeper_.sleeps(); }
  std::uint64_t safety_net() const noexcept { return sleeper_.safety_net(); }
  std::uint64_t wakes() const noexcept { return ringer_.wakes(); }
  std::uint64_t violations() const noexcept { return violations_.get(); }

 private:
  // Nothing that keeps us from sending, as far as two words say.
  bool is_clear() noexcept {
    if (sleeper_.attention_moved()) sleeper_.service();
    if (link_.roster.version_now() != seen_) refresh();
    return trouble_ == Errc{} && !(single_ && peer_.has_closed());
  }
  // A slab whose message is under way, until the peer is done with it.
  struct UnderWay {
    std::uint64_t end;  // the position after its record
    Slab slab;
  };

  template <class Attempt>
  Result<void> when_possible(Deadline, const Attempt&);
  Result<void> check_size(std::size_t bytes) const;
  bool send_in_slab(std::span<const std::byte> bytes);
  bool push_slab(Slab, std::size_t bytes) noexcept;
  void collect_slabs() noexcept;
  void sent(std::size_t bytes, std::size_t messages = 1) noexcept {
    sent_.add(messages);
    bytes_.add(bytes);
    if (!peer_.segment) return;
    waker_barrier(peer_.barrier);
    if (ringer_.is_asleep(peer_.segment->page().armed)) wake_receiver();
  }
  void refresh();
  Error trouble() const;
  void reclaim() noexcept;
  bool cursor_moved() const noexcept;
  void wake_receiver() noexcept;
  PeerSigns signs() const noexcept;

  ShmLink& link_;
  const bool single_;
  const std::size_t inline_most_;  // what is longer goes into a slab when one is free
  LaneProducer lane_;
  SlabPool slabs_;
  std::deque<UnderWay> under_way_;  // in the order of their records
  const std::uint64_t base_;
  LivePeer peer_;
  std::uint32_t seen_ = 0;  // version of the roster
  Errc trouble_{};
  const char* reason_ = "";
  bool violated_ = false;         // by the incarnation that peer_ shows
  std::uint64_t acked_turn_ = 0;  // of the peer's cursor, as reclaim() saw it
  Sleeper sleeper_;
  Ringer ringer_;
  BellPoll bell_poll_;
  Counter sent_, bytes_, violations_;
};

}  // namespace bulkhead::ipc
