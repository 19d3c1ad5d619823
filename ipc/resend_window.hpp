// What the sender of a socket or a pipe has committed and its peer has not acknowledged: a lane in our own
// segment, whose records are copied into the connection. Committed means in here, whatever becomes of the copy.
// Used by SocketEndpoint; knows no connection and no page of a peer. One thread at a time.
//
//   reusable      | kept: to be sent again on a new connection               | free
//   --------------|--------------------------|-------------------------------|------
//                 reclaimed                  unsent: the current connection  committed
//                                            was not given it yet
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "ipc/lane_consumer.hpp"
#include "ipc/lane_producer.hpp"
#include "ipc/segment.hpp"

namespace bulkhead::ipc {

class ResendWindow {
 public:
  using Record = LaneConsumer::Record;

  // What a window of a channel takes: whole records of `capacity` bytes and at least two of the largest
  // messages, one of which may be padding.
  static std::size_t bytes_for(std::size_t capacity, std::size_t max_message) noexcept;

  explicit ResendWindow(Segment& segment) noexcept;

  // Commits; false when there is no room as far as reclaim() said.
  bool push(std::span<const std::byte> bytes) noexcept { return lane_.push(bytes); }
  bool push_batch(MessageBatch messages) noexcept { return lane_.push_batch(messages); }
  bool has_room(std::size_t bytes) const noexcept { return lane_.has_room(bytes); }

  // The oldest record that the connection was not given. Its bytes stay until it is reclaimed.
  std::optional<Record> next_unsent() const noexcept;
  void mark_sent() noexcept;                   // that one
  void rewind() noexcept { unsent_ = kept_; }  // for a new connection

  // The peer has acknowledged everything before `position` (modulo 2^48). False, and nothing changes, when
  // that is behind what it said before, ahead of what was committed, or inside a record. Only while nothing
  // is unsent, or before a rewind(): a frame that is half in the kernel needs its bytes.
  bool reclaim(std::uint64_t position) noexcept;
  bool is_untouched() const noexcept { return lane_.reclaimed() == 0; }

  std::uint64_t count() const noexcept { return lane_.count(); }  // committed on the link

 private:
  LaneProducer lane_;
  LaneConsumer kept_, unsent_;  // over our own ring: where its records begin, and their numbers
};

}  // namespace bulkhead::ipc
