// A publisher's end towards one subscriber: applies the subscriber's policy, obeys the newest incarnation
// of its cursor, wakes it. Used by Topic, which has one for each subscriber. One thread.
#pragma once

#include <bulkhead/topic.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "ipc/topic_end.hpp"
#include "ipc/topic_outlet.hpp"
#include "ipc/topic_producer.hpp"

namespace bulkhead::ipc {

class TopicWriter final : public TopicEnd {
 public:
  TopicWriter(EndSpec, Segment, std::unique_ptr<TopicConnections>, std::uint64_t dropped);

  // Takes what is new about the subscriber. Afterwards: whether it will never take a message again, and
  // with which error.
  void look_around();
  bool is_gone() const noexcept { return trouble_ != Errc{}; }
  Error trouble() const { return link_.error(trouble_, reason_); }

  // Before publish(), where the policy is block: waits until there is room, or nobody to have room for;
  // room once found stays. Errors: timed_out, would_block, stopped.
  Result<void> await_room(std::size_t bytes, Deadline);
  bool prepare_send_wait(std::size_t bytes) override;
  void finish_send_wait() noexcept override;
  WaitPlan send_plan() const noexcept override;
  // Gives the subscriber the message with this number, or drops it. Never waits. Then wake(),
  // once all subscribers have got theirs.
  void publish(std::span<const std::byte> bytes, std::uint64_t number) noexcept;
  void wake() noexcept;
  // A number that a predecessor gave to other subscribers.
  void skip_to(std::uint64_t number) noexcept { producer_.skip_to(number); }
  std::uint64_t number() const noexcept { return producer_.number(); }
  // Drops of this incarnation.
  std::uint64_t dropped() const noexcept { return dropped_.get(); }

  std::uint64_t last_committed() const noexcept override { return producer_.number(); }
  std::uint64_t resume_point() const noexcept override { return 0; }
  ChannelStats stats() const noexcept override;

 private:
  bool was_used() const noexcept override { return sent_.get() + dropped_.get() != 0; }
  void let_go_of_connection() noexcept override;
  void give() noexcept;
  void refresh();
  bool may_publish(std::size_t bytes);
  void read_cursor() noexcept;
  bool cursor_moved() const noexcept;
  PeerSigns signs() const noexcept;

  const bool single_;
  const Overflow overflow_;
  TopicProducer producer_;
  std::optional<TopicOutlet> outlet_;  // on a transport other than shm
  LivePeer peer_;
  std::uint32_t seen_ = 0;  // version of the roster
  Errc trouble_{};
  const char* reason_ = "";
  bool violated_ = false;         // by the incarnation that peer_ shows
  std::uint64_t acked_turn_ = 0;  // of the peer's cursor, as read_cursor() saw it
  Sleeper sleeper_;
  Ringer ringer_;
  BellPoll bell_poll_;
  Counter sent_, bytes_, dropped_, violations_;
};

}  // namespace bulkhead::ipc
