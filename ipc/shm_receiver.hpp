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

namespace bulkhead::ipc {

// Where a receiver begins: what its predecessor had taken and acknowledged.
struct ResumeState {
  Acknowledged acknowledged;
  Cursor taken;
  std::uint64_t redelivered = 0;
};

class ShmReceiver {
 public:
  struct Received {
    std::span<const std::byte> bytes;
    std::uint64_t index = 0;
    std::uint16_t epoch = 0;
    bool redelivered = false;
  };

  ShmReceiver(ShmLink& link, const ResumeState&);

  // The common case, inline: a message is there and nothing else is going on.
  [[gnu::always_inline]] bool take_at_once(Received& received, Deadline deadline) {
    const bool quiet = !sleeper_.attention_moved() && link_.roster.version_now() == seen_ &&
                       !deadline.stopped() && can_poll_ && !ledger_.has_returned();
    if (!quiet) return false;
    LaneConsumer::Record record;
    if (source_->lane.poll(record) != LaneConsumer::Found::record) return false;
    hand_out(record, received);
    return true;
  }
  Result<void> receive(Received&, Deadline);  // everything else
  void acknowledge(std::uint64_t index) noexcept;
  void release(std::uint64_t index) noexcept;

  bool prepare_wait();
  void finish_wait() noexcept;
  int doorbell() const noexcept {
    return bell_ended_ || !peer_.doorbells ? -1 : peer_.doorbells->message.get();
  }

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
  // Inlined by force: a record that goes through memory between two calls costs as much as all else.
  [[gnu::always_inline]] void hand_out(const LaneConsumer::Record& record, Received& received) {
    const Cursor end{source_->epoch, record.end};
    const bool again = within_taken_ && was_taken(end);
    ledger_.add(record.bytes, end, again);
    received_.add(1);
    bytes_.add(record.bytes.size());
    if (again) {
      note_redelivered();  // within the predecessor's `taken`, which must not move back
    } else {
      store_taken(link_.segment.page(), end);
    }
    received = {record.bytes, record.index, end.epoch, again};
  }
  void note_redelivered() noexcept;
  bool next_source();
  bool source_is_drained() const noexcept;
  bool was_taken(Cursor end) noexcept;
  void decide_polling() noexcept {
    // relaxed: nudge() published it together with the version that look_around() has read.
    can_poll_ = source_ && complaint_ == nullptr && !link_.closed.load(std::memory_order_relaxed);
  }
  bool is_ready() const noexcept {
    return (can_poll_ && source_->lane.ready()) || ledger_.has_returned() ||
           (single_ && peer_.has_closed());
  }
  bool can_act();
  bool renumber(std::uint64_t base_index);
  std::optional<Errc> ending() const noexcept;
  void violate(const char* complaint) noexcept;
  void publish_acknowledged() noexcept;
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
  bool within_taken_;                // what our predecessor had taken is not over yet
  bool bell_ended_ = false;
  Sleeper sleeper_;
  Ringer ringer_;
  Counter received_, redelivered_, bytes_, violations_;
};

}  // namespace bulkhead::ipc
