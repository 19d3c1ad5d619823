// The channel contract over unix sockets, tcp and pipes: everything about them that is not bytes on a
// wire. Used by open_endpoint(); everybody else sees an Endpoint. The rules are in
// docs/design/socket-transports.md.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/fd.hpp"
#include "ipc/delivery_ledger.hpp"
#include "ipc/end_page.hpp"
#include "ipc/endpoint.hpp"
#include "ipc/frame_reader.hpp"
#include "ipc/frame_writer.hpp"
#include "ipc/segment.hpp"
#include "ipc/sleeper.hpp"
#include "ipc/socket_spin.hpp"
#include "ipc/wire.hpp"

namespace bulkhead::ipc {

// Errors: invalid_argument (max_message), those of Segment, what the system reports.
[[nodiscard]] Result<std::shared_ptr<Endpoint>> open_socket_endpoint(Transport, EndSpec);

// Threads: the sending thread owns what sending_ guards, the receiving one what receiving_ guards;
// the locks are for close(), for post() and for the sender that must know how the peer went. They
// are never held while waiting. Order: sending_, receiving_, links_.
class SocketEndpoint final : public Endpoint {
 public:
  struct Parts {
    Transport transport;
    EndSpec spec;
    Segment segment;
    base::UniqueFd send_bell, receive_bell;
    std::uint64_t committed;    // by our predecessors
    Acknowledged acknowledged;  // likewise
  };
  explicit SocketEndpoint(Parts parts);

  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override;
  Result<Message> receive(Deadline deadline) override;
  void acknowledge(std::uint64_t position) noexcept override;
  void release(std::uint64_t position) noexcept override;

  bool prepare_receive_wait() override;
  void finish_receive_wait() noexcept override {}
  WaitPlan receive_plan() const noexcept override;
  bool prepare_send_wait(std::size_t bytes) override;
  void finish_send_wait() noexcept override {}
  WaitPlan send_plan() const noexcept override;

  void post(LinkUpdate update) override;
  int segment_fd() const noexcept override { return segment_.fd(); }
  void close() noexcept override;
  std::uint16_t peer_epoch() const noexcept override;
  std::uint64_t last_committed() const noexcept override;
  std::uint64_t resume_point() const noexcept override { return resume_point_; }
  ChannelStats stats() const noexcept override;
  const EndSpec& spec() const noexcept override { return spec_; }

 private:
  // One pair of incarnations has one connection. The sender moves on to the newest at once, the
  // receiver drains them in order.
  struct Connection {
    Connection(std::unique_ptr<Wire> owned, FrameExpectation expected, BufferPool& pool)
        : wire(std::move(owned)),
          reader(make_frame_reader(*wire, expected, pool)),
          peer_epoch(expected.epoch) {}
    std::unique_ptr<Wire> wire;
    std::unique_ptr<FrameReader> reader;  // receiving_
    FrameWriter writer;                   // sending_
    std::uint16_t peer_epoch;
    bool write_broken = false;           // sending_
    std::atomic<bool> peer_gone{false};  // for certain: when it is quiet, it is drained
    std::optional<Deadline> settled_at;  // receiving_: when quiet may be taken for the end
  };
  using ConnectionPtr = std::shared_ptr<Connection>;

  // How the link itself ended; only where the peer is not replaced, or on its word.
  enum class Verdict : std::uint8_t { open, closed, died, violated };

  struct Counters {
    Counter sent, bytes_sent, send_sleeps;                          // the sending thread's
    Counter received, redelivered, bytes_received, receive_sleeps;  // the receiving thread's
    std::atomic<std::uint64_t> violations{0};
  };
  enum class Way { send, receive };

  // socket_endpoint.cpp
  void post_sockets(LinkUpdate update);
  void post_gone(const LinkUpdate& update);
  void post_segment(LinkUpdate update);
  void violate() noexcept;
  void say_goodbye() noexcept;
  Error fail(Errc code, const char* what) const;
  Error fail(Verdict verdict) const;

  // socket_endpoint_send.cpp
  std::optional<Result<void>> try_send(std::span<const std::byte> bytes, std::uint64_t index);
  void adopt_newest() noexcept;
  void commit(std::uint64_t index, std::size_t bytes) noexcept;
  Verdict verdict_for_sender();
  void suspend_send(std::span<const std::byte> bytes) noexcept;

  // socket_endpoint_receive.cpp
  enum class Taken { message, nothing, over, violated, no_memory };
  std::optional<Result<Message>> try_receive();
  Taken take_next(Incoming& incoming);
  Taken take_from_wire(Incoming& incoming);
  bool adopt_next_connection();
  bool is_drained() noexcept;
  void end_connection(bool said_goodbye) noexcept;
  void drop_violator();
  Message hand_out(Incoming incoming);
  Message hand_out_again();
  void drop_settled() noexcept;
  std::optional<Deadline> settling_until() const noexcept;
  Taken over_or_nothing() noexcept;

  // socket_endpoint_wait.cpp
  void look_around(Way way) noexcept;
  void wait(Way way, WaitPlan plan, Deadline deadline) noexcept;
  void ring_bells() noexcept;
  void mark_used() noexcept;
  bool used_here() const noexcept;

  const Transport transport_;
  const EndSpec spec_;
  Segment segment_;
  const base::UniqueFd send_bell_, receive_bell_;  // eventfds: look again
  const std::uint64_t resume_point_;

  std::atomic<bool> closed_{false};
  std::atomic<Verdict> verdict_{Verdict::open};
  std::atomic<std::uint64_t> committed_;
  std::atomic<std::uint32_t> used_in_{0};
  Counters counters_{};

  mutable std::mutex sending_;
  ConnectionPtr out_;
  std::uint64_t out_version_ = 0;
  bool out_closed_ = false, out_died_ = false;  // peer_closed_ and peer_died_ as of that version
  std::uint32_t send_attention_ = 0;

  mutable std::mutex receiving_;
  BufferPool pool_;
  ConnectionPtr in_;
  std::deque<Incoming> backlog_;  // read by a sender that looked for the peer's goodbye
  // Positions count what this incarnation was given, from 1, without the holes that a dead
  // predecessor of either side may have left in the indices.
  DeliveryLedger ledger_{0};
  std::deque<Incoming> held_;  // held_[i] has position first_held_ + i
  std::uint64_t first_held_ = 1;
  const std::uint64_t acknowledged_before_;
  std::uint32_t receive_attention_ = 0;
  Error violation_;
  bool complaint_due_ = false;  // the violation was found while looking, and is yet to be told
  SpinPace pace_;

  mutable std::mutex links_;
  std::deque<ConnectionPtr> arrived_;  // not yet begun by the receiver
  ConnectionPtr newest_;
  std::optional<PeerSegment> peer_page_;
  bool peer_closed_ = false;  // by the supervisor's word
  bool peer_died_ = false;
  std::atomic<std::uint16_t> peer_epoch_{0};
  std::atomic<std::uint64_t> version_{0};  // moves with every update
};

}  // namespace bulkhead::ipc
