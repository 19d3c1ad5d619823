// The receiving direction of a shared-memory end: drains the peer's incarnations in order, keeps the
// cursors in our end page, waits for messages. Used by the endpoint only. One thread at a time, the
// one that lets messages go included.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ipc/delivery_ledger.hpp"
#include "ipc/lane_consumer.hpp"
#include "ipc/shm_link.hpp"
#include "ipc/succession.hpp"

namespace bulkhead::ipc {

class ShmReceiver {
 public:
  struct Received {
    std::span<const std::byte> bytes;
    std::uint64_t index = 0;
    std::uint16_t epoch = 0;
    bool redelivered = false;
  };

  ShmReceiver(ShmLink& link, const ResumeState&);

  // The common cases, inline: a message is there, or nothing, and nothing else is going on.
  using Glance = LaneConsumer::Glance;
  [[gnu::always_inline]] Glance take_at_once(Received& received, Deadline deadline) {
    const bool quiet = !sleeper_.attention_moved() && link_.roster.version_now() == seen_ &&
                       !deadline.stopped() && can_poll_ && !ledger_.has_returned();
    if (!quiet) return Glance::unusual;
    LaneConsumer::Record record;
    const Glance glance = source_->lane.take(record);
    if (glance == Glance::record) hand_out(record, received);
    return glance;
  }
  // How often take_at_once() is worth a try: once where waiting is not wanted.
  int looks_at_once(Deadline deadline) const noexcept {
    return deadline.is_now() ? 1 : sleeper_.looks_at_once();
  }
  Result<void> receive(Received&, Deadline);  // everything else
  void acknowledge(std::uint64_t index) noexcept {
    if (ledger_.acknowledge(index)) publish_acknowledged();
  }
  void release(std::uint64_t index) noexcept;

  bool prepare_wait();
  void finish_wait() noexcept;
  int doorbell() const noexcept;

  std::uint64_t received() const noexcept { return received_.get(); }  // any thread, as below
  std::uint64_t redelivered() const noexcept { return redelivered_.get(); }
  std::uint64_t bytes_received() const noexcept { return bytes_.get(); }
  std::uint64_t sleeps() const noexcept { return sleeper_.sleeps(); }
  std::uint64_t safety_net() const noexcept { return sleeper_.safety_net(); }
  std::uint64_t wakes() const noexcept { return ringer_.wakes(); }
  std::uint64_t violations() const noexcept { return violations_.get(); }

 private:
  struct Source {
    std::shared_ptr<const PeerSegment> segment;
    std::uint16_t epoch;
    LaneConsumer lane;
  };
  // An exhausted incarnation whose memory live messages still show.
  struct Held {
    std::shared_ptr<const PeerSegment> segment;
    std::uint64_t last_index;
  };

  void look_around() {
    if (sleeper_.attention_moved()) sleeper_.service();
    if (link_.roster.version_now() != seen_) refresh();
  }
  void refresh();
  bool take(Received&);
  bool take_returned(Received&);
  // Inlined by force, see LaneConsumer::take.
  [[gnu::always_inline]] void hand_out(const LaneConsumer::Record& record, Received& received) {
    const Cursor end{source_->epoch, record.end};
    const bool again = taken_before_.covers(end);
    ledger_.add(record.bytes, end, again);
    received_.add(1);
    bytes_.add(record.bytes.size());
    if (again) {
      note_redelivered();  // within the predecessor's `taken`, which must not move back
    } else {
      store_taken(link_.segment.page(), end);
    }
    received.bytes = record.bytes;
    received.index = record.index;
    received.epoch = end.epoch;
    received.redelivered = again;
  }
  void note_redelivered() noexcept;
  bool next_source();
  bool source_is_drained() const noexcept;
  void decide_polling() noexcept {
    // relaxed: nudge() published it together with the version that look_around() has read.
    can_poll_ = source_ && complaint_ == nullptr && !link_.closed.load(std::memory_order_relaxed);
  }
  bool is_ready() const noexcept {
    return (can_poll_ && source_->lane.ready()) || ledger_.has_returned() ||
           (single_ && peer_.has_closed());
  }
  bool can_act();
  bool renumber(std::uint16_t epoch, std::uint64_t base_index);
  std::optional<Errc> ending() const noexcept;
  void violate(const char* complaint) noexcept;
  void publish_acknowledged() noexcept {
    store_acknowledged(link_.segment.page(), {ledger_.cursor(), ledger_.settled()});
    if (!held_.empty()) let_go_of_exhausted();
    if (!peer_.segment) return;
    waker_barrier(peer_.barrier);
    if (ringer_.is_asleep(peer_.segment->page().wants_space)) wake_sender();
  }
  void let_go_of_exhausted() noexcept;
  void wake_sender() noexcept;
  PeerSigns signs() const noexcept;

  ShmLink& link_;
  const bool single_;
  const ResumeState resume_;
  DeliveryLedger ledger_;
  PeerView view_;
  LivePeer peer_;
  std::uint32_t seen_ = 0;  // version of the roster
  std::optional<Source> source_;
  std::vector<Held> held_;
  const char* complaint_ = nullptr;  // about what source_ shows, or the incarnation after it
  bool complained_ = false;          // receive() has returned it
  bool can_poll_ = false;            // there is a source, and no reason to leave it alone
  TakenRange taken_before_;          // by our predecessor
  Sleeper sleeper_;
  Ringer ringer_;
  BellPoll bell_poll_;
  Counter received_, redelivered_, bytes_, violations_;
};

}  // namespace bulkhead::ipc
