// What a topic's two kinds of ends have in common: a segment, what is known of the peer, and that they
// are no channels. The runtime, the keeper's store and the introducer treat them like any other end.
// Used by TopicWriter and TopicReader.
#pragma once

#include "ipc/endpoint.hpp"
#include "ipc/shm_link.hpp"
#include "ipc/topic_connections.hpp"

namespace bulkhead::ipc {

class TopicEnd : public Endpoint {
 public:
  // `connections`: of a transport other than shm.
  TopicEnd(EndSpec spec, Segment segment, std::unique_ptr<TopicConnections> connections)
      : link_(std::move(spec), std::move(segment)), connections_(std::move(connections)) {}

  // Nobody has a Channel of a topic's end: who takes links tells the two apart by EndSpec::topic.
  Result<void> send(std::span<const std::byte>, Deadline) final { return no_channel(); }
  Result<Message> receive(Deadline) final { return no_channel(); }
  void acknowledge(std::uint64_t) noexcept final {}
  void release(std::uint64_t) noexcept final {}
  // A publisher's end waits for room alone, a subscriber's for messages; the other wait is over at once.
  bool prepare_receive_wait() override { return true; }
  void finish_receive_wait() noexcept override {}
  WaitPlan receive_plan() const noexcept override { return {}; }
  bool prepare_send_wait(std::size_t) override { return true; }
  void finish_send_wait() noexcept override {}
  WaitPlan send_plan() const noexcept override { return {}; }

  void post(LinkUpdate) final;
  int segment_fd() const noexcept final { return link_.segment.fd(); }
  void close() noexcept final;
  // Without a supervisor: its owner is gone. One that was never used is no farewell, because after several
  // forks each process drops ends that others use; who is the last to drop it shows by the lifeline.
  void leave() noexcept;
  std::uint16_t peer_epoch() const noexcept final { return link_.roster.epoch(); }
  const EndSpec& spec() const noexcept final { return link_.spec; }

 protected:
  virtual bool was_used() const noexcept = 0;
  virtual void let_go_of_connection() noexcept = 0;

  ShmLink link_;
  const std::unique_ptr<TopicConnections> connections_;  // null on shm
  // One doorbell on every transport: who waits at its one end is rung by who waits at the other.
  static constexpr base::UniqueFd Doorbells::*bell = &Doorbells::message;

 private:
  void post_sockets(LinkUpdate);
  void close_connections() noexcept;
  EndUse use_here_or_elsewhere() const noexcept;
  Error no_channel() const {
    return link_.error(Errc::unsupported, "it is a topic; take it with topic()");
  }
};

// Makes this end of a topic, whose policy `spec.topic` is, and takes over from spec.predecessor. A
// publisher's end (side from) is a TopicWriter, a subscriber's a TopicReader.
// Errors: invalid_argument (capacity, max_message, history, no attention), protocol_violation or
//   version_mismatch for a predecessor that is not a segment of ours; what the system reports.
[[nodiscard]] Result<std::shared_ptr<Endpoint>> open_topic_end(Transport, EndSpec);

}  // namespace bulkhead::ipc
