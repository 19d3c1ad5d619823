// The channel contract over unix sockets, tcp and pipes: everything about them that is not bytes on a wire. Used by
// open_endpoint(); everybody else sees an Endpoint. The rules are in docs/design/socket-transports.md.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "ipc/delivery_ledger.hpp"
#include "ipc/endpoint.hpp"
#include "ipc/live_peer.hpp"
#include "ipc/resend_window.hpp"
#include "ipc/segment.hpp"
#include "ipc/sleeper.hpp"
#include "ipc/socket_connection.hpp"
#include "ipc/socket_spin.hpp"
#include "ipc/succession.hpp"

namespace bulkhead::ipc {

// Errors: invalid_argument (max_message), those of Segment and of take_over(), what the system reports.
[[nodiscard]] Result<std::shared_ptr<Endpoint>> open_socket_endpoint(Transport, EndSpec);

// Threads: the sending one owns what sending_ guards, the receiving one what receiving_ guards; the locks are for close(),
// post() and the sender that must know how the peer went. Never held in a wait. Order: sending_, receiving_, links_.
class SocketEndpoint final : public Endpoint {
 public:
  struct Parts {
    Transport transport;
    EndSpec spec;
    Segment segment;
    base::UniqueFd send_bell, receive_bell;
    ResumeState resume;
  };
  explicit SocketEndpoint(Parts parts);

  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override;
  Result<void> send_batch(MessageBatch messages, Deadline deadline) override;
  Result<Message> receive(Deadline deadline) override;
  void acknowledge(std::uint64_t position) noexcept override;
  void release(std::uint64_t position) noexcept override;

  bool prepare_receive_wait() override;
  void finish_receive_wait() noexcept override { look_again(); }
  WaitPlan receive_plan() const noexcept override;
  bool prepare_send_wait(std::size_t bytes) override;
  void finish_send_wait() noexcept override;
  WaitPlan send_plan() const noexcept override;

  void post(LinkUpdate update) override;
  int segment_fd() const noexcept override { return segment_.fd(); }
  void close() noexcept override;
  std::uint16_t peer_epoch() const noexcept override;
  bool peer_is_dead(std::uint16_t epoch) const noexcept override;
  std::uint64_t last_committed() const noexcept override;
  std::uint64_t resume_point() const noexcept override { return resume_.acknowledged.count + 1; }
  ChannelStats stats() const noexcept override;
  const EndSpec& spec() const noexcept override { return spec_; }

 private:
  using ConnectionPtr = std::shared_ptr<SocketConnection>;

  // How the link itself ended; only where the peer is not replaced, or on its word.
  enum class Verdict : std::uint8_t { open, closed, died, violated };
  enum class Way { send, receive };
  bool is_single() const noexcept { return spec_.peer_life == PeerLife::single; }

  // socket_endpoint.cpp
  void post_sockets(LinkUpdate update);
  void post_segment(LinkUpdate update);
  void post_gone(LinkUpdate update);
  void begin_incarnation(std::uint16_t epoch) noexcept;
  void ring_for_space(const SocketConnection& connection) noexcept;
  void tell_cut() noexcept;
  void violate() noexcept;
  void say_goodbye() noexcept;
  Error fail(Errc code, const char* what) const;
  Error fail(Verdict verdict) const;

  // socket_endpoint_send.cpp
  enum class Pumped { all, blocked, failed };
  enum class Lacking { nothing, peer, kernel, space };
  using Attempt = std::optional<Result<void>>;  // nothing: to be tried again after a wait
  Attempt try_send(MessageBatch messages, bool may_wait);
  Attempt send_bare(std::span<const std::byte> bytes);
  Attempt hopeless();
  bool push(MessageBatch messages, bool may_wait);
  Pumped pump();
  void pump_news();
  void adopt_newest();
  void set_in_step(std::uint16_t epoch) noexcept;
  void drop_broken() noexcept;
  void reclaim() noexcept;
  void arm_for_space() noexcept;
  void disarm() noexcept;
  void count_sent(MessageBatch messages) noexcept;
  Verdict verdict_for_sender();
  void suspend_send(std::span<const std::byte> bytes) noexcept;

  // socket_endpoint_source.cpp
  enum class Taken { message, nothing, over, violated, no_memory };
  void refresh_receiver();
  bool next_source();
  bool next_bare_source();
  bool renumber(std::uint16_t epoch, std::uint64_t base_index);
  bool source_is_finished(bool closed) const noexcept;
  Taken take(Incoming& incoming);
  Taken take_from_source(bool finished, Incoming& incoming);
  Taken take_from_connection(Incoming& incoming);
  Taken take_from_window(Incoming& incoming);
  Taken place(Incoming& incoming);
  bool reads_window() const noexcept;
  bool has_nothing_new() const noexcept;
  void adopt_connection();
  bool is_drained() noexcept;
  void end_connection(bool said_goodbye) noexcept;
  Taken spoil(const Error& fault);
  Taken over_or_nothing(bool closed, bool died);

  // socket_endpoint_receive.cpp
  Result<Message> receive_unwatched(Deadline);
  std::optional<Result<Message>> try_receive(bool glance);  // a glance: see has_nothing_new()
  Taken take_next(Incoming& incoming);
  Message hand_out(Incoming incoming);
  Message hand_out_again();
  void note_redelivered() noexcept;
  void drop_settled() noexcept;
  std::optional<Deadline> settling_until() const noexcept;

  // socket_endpoint_wait.cpp
  void look_around(Way way) noexcept;
  bool wait(Way way, WaitPlan plan, Deadline deadline) noexcept;
  void ring_bells() noexcept;
  void mark_used() noexcept;
  bool used_here() const noexcept;

  const Transport transport_;
  const EndSpec spec_;
  Segment segment_;
  const base::UniqueFd send_bell_, receive_bell_;  // eventfds: look again
  const ResumeState resume_;

  std::atomic<bool> closed_{false};
  std::atomic<Verdict> verdict_{Verdict::open};
  std::atomic<std::uint64_t> committed_;
  std::atomic<std::uint32_t> used_in_{0};
  std::atomic<std::uint16_t> cut_{0};  // whose connection was found to be cut, to be told
  SocketCounters counters_;

  mutable std::mutex sending_;
  ResendWindow window_;
  ConnectionPtr out_;
  LivePeer reader_;  // whose page says what is acknowledged
  std::optional<Error> refused_;
  std::uint64_t out_version_ = 0;
  bool out_closed_ = false, out_died_ = false;  // peer_closed_ and peer_died_ as of that version
  bool out_broken_ = false;                     // the last connection is, and there is no newer one
  bool violated_ = false;                       // by the incarnation that reader_ shows
  std::uint16_t in_step_ = 0;                   // what our page says
  Lacking lacking_ = Lacking::nothing;          // what the last attempt to send was short of
  bool armed_ = false;                          // our page says that we wait for space
  std::uint32_t arm_sequence_ = 0, send_attention_ = 0;

  mutable std::mutex receiving_;
  BufferPool pool_;
  PeerView view_;
  LivePeer writer_;     // whose page says whether it waits for space
  ConnectionPtr ours_;  // the newest, whose bell is rung
  std::uint64_t in_version_ = 0;
  std::optional<SocketSource> source_;
  ConnectionPtr in_;
  bool in_closed_ = false, in_died_ = false;  // peer_closed_ and peer_died_ as of that version
  bool connection_over_ = false, said_goodbye_ = false;  // the source's, and how it ended
  std::uint64_t last_index_;      // of the messages taken, in held_, backlog_ or let go
  bool glances_ = false;          // this look may trust the window alone
  std::deque<Incoming> backlog_;  // taken by a sender that looked for the peer's goodbye
  DeliveryLedger ledger_;
  TakenRange taken_before_;    // by our predecessor
  std::deque<Incoming> held_;  // held_[i] is message first_held_ + i
  std::uint64_t first_held_;
  std::uint32_t receive_attention_ = 0;
  Error violation_;
  bool complaint_due_ = false;     // violation_ is yet to be told
  std::uint16_t renumbering_ = 0;  // the incarnation whose base is complained about
  Ringer ringer_;
  SpinPace pace_;

  PeerRoster roster_;
  mutable std::mutex links_;
  std::deque<ConnectionPtr> arrived_;  // not yet begun by the receiver
  ConnectionPtr newest_;
  std::uint16_t newest_epoch_ = 0;                // of a segment or a connection
  bool peer_closed_ = false, peer_died_ = false;  // the first by its goodbye, too
  std::atomic<std::uint16_t> peer_epoch_{0};
  std::atomic<std::uint64_t> version_{0};  // moves with every update
};

}  // namespace bulkhead::ipc
