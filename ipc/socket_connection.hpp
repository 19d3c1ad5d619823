// What a SocketEndpoint knows of one connection, of the incarnation that it receives from, and what it counts. Plain state of
// the endpoint, which says in socket_endpoint.hpp what guards it; knows no rules.
#pragma once

#include <bulkhead/deadline.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/fd.hpp"
#include "ipc/frame_reader.hpp"
#include "ipc/frame_writer.hpp"
#include "ipc/lane_consumer.hpp"
#include "ipc/peer_roster.hpp"
#include "ipc/segment.hpp"
#include "ipc/sleeper.hpp"
#include "ipc/wire.hpp"

namespace bulkhead::ipc {

// One pair of incarnations has one connection.
struct SocketConnection {
  SocketConnection(std::unique_ptr<Wire> owned, FrameExpectation expected, BufferPool& pool)
      : wire(std::move(owned)),
        reader(make_frame_reader(*wire, expected, pool)),
        peer_epoch(expected.epoch) {}

  // Nobody is at its other end, or at that of its bell.
  bool is_cut() const noexcept {
    return wire->hung_up() || (bell.is_open() && Doorbells::has_ended(bell));
  }

  std::unique_ptr<Wire> wire;
  std::unique_ptr<FrameReader> reader;  // receiving_
  FrameWriter writer;                   // sending_
  base::UniqueFd bell;                  // our end: rung by who makes room, polled by who wants it
  std::uint16_t peer_epoch;
  bool bare = false;                   // no pages were exchanged: nobody acknowledges
  bool write_broken = false;           // sending_
  bool bell_over = false;              // sending_
  std::atomic<bool> peer_gone{false};  // for certain: when it is quiet, it is drained
  std::optional<Deadline> settled_at;  // receiving_: when quiet may be taken for the end
};

// The incarnation of the peer that is being received from.
struct SocketSource {
  std::uint16_t epoch;
  std::shared_ptr<const PeerSegment> segment;  // null: bare
  LaneConsumer lane;                           // over its window, in step with what was taken
  bool catching_up = true;                     // the window may hold what no connection brings
  bool spoiled = false;                        // it broke the rules: nothing more is taken
};

struct SocketCounters {
  Counter sent, bytes_sent, send_sleeps, send_safety_net;         // the sending thread's
  Counter received, redelivered, bytes_received, receive_sleeps;  // the receiving thread's
  Counter receive_safety_net;                                     // likewise
  std::atomic<std::uint64_t> violations{0};
};

}  // namespace bulkhead::ipc
