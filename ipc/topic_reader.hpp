// A subscriber's end: drains the publisher's incarnations in order, tells gaps, keeps the cursors in our
// end page, waits (topic_reader_wait.cpp). Used by Topic. One thread, the one that lets messages go included.
#pragma once

#include <bulkhead/topic.hpp>
#include <cstdint>
#include <memory>
#include <optional>

#include "ipc/topic_consumer.hpp"
#include "ipc/topic_end.hpp"
#include "ipc/topic_inlet.hpp"

namespace bulkhead::ipc {

// Where a subscriber begins: what its predecessor had taken and acknowledged, and was told.
struct TopicResume {
  Acknowledged acknowledged;  // the count is the number of the last message
  Cursor taken;
  std::uint64_t redelivered = 0, dropped = 0;
};

class TopicReader final : public TopicEnd {
 public:
  TopicReader(EndSpec, Segment, std::unique_ptr<TopicConnections>, const TopicResume&);

  Result<TopicDelivery> take(Deadline);
  // Covers it and all before it, and takes its memory back.
  void settle(TopicDelivery&) noexcept;

  bool prepare_receive_wait() override;
  void finish_receive_wait() noexcept override;
  WaitPlan receive_plan() const noexcept override;

  std::uint64_t received() const noexcept { return received_.get(); }
  std::uint64_t redelivered() const noexcept { return redelivered_.get(); }
  std::uint64_t dropped() const noexcept { return told_.get(); }

  std::uint64_t last_committed() const noexcept override { return 0; }
  std::uint64_t resume_point() const noexcept override { return resume_.acknowledged.count + 1; }
  ChannelStats stats() const noexcept override;

 private:
  struct Source {
    std::shared_ptr<const PeerSegment> segment;
    std::uint16_t epoch;
    TopicConsumer lane;
  };

  bool was_used() const noexcept override { return received_.get() + sleeper_.sleeps() != 0; }
  void let_go_of_connection() noexcept override;
  void look_around();
  void refresh();
  Result<TopicDelivery> take_unwatched(Deadline);
  Sleeper::End wait(Deadline);
  bool is_awaited() const noexcept { return inlet_ && inlet_->is_awaited(); }
  bool can_act();
  // Goes through the sources until `look` finds a message in one.
  template <class Look>
  bool find_next(const Look& look);
  bool take_next(TopicDelivery&);
  bool has_next();
  bool is_finished() const noexcept;
  TopicDelivery hand_out(TopicConsumer::Message&&) noexcept;
  bool next_source();
  bool source_is_drained() const noexcept;
  bool was_taken(Cursor end) noexcept;
  void violate(const char* complaint) noexcept;
  std::optional<Errc> ending() const noexcept;
  bool is_ready() const noexcept;
  PeerSigns signs() const noexcept;

  const bool single_;
  const TopicResume resume_;
  PeerView view_;
  LivePeer peer_;
  std::uint32_t seen_ = 0;  // version of the roster
  std::optional<Source> source_;
  std::optional<TopicInlet> inlet_;  // on a transport other than shm; stands beside source_
  TopicConsumer::Message spare_;     // memory for the next message
  std::uint64_t accounted_;          // up to this number everything was handed out or told
  std::uint64_t dropped_total_;      // told, predecessors included
  Acknowledged acknowledged_;        // as in the page
  const char* complaint_ = nullptr;  // about what source_ shows, or the incarnation after it
  bool complained_ = false;          // take() has returned it
  bool within_taken_;                // what our predecessor had taken is not over yet
  Sleeper sleeper_;
  SpinPace pace_;  // on a connection
  Ringer ringer_;
  BellPoll bell_poll_;
  Counter received_, redelivered_, told_, bytes_, violations_;
};

// Topic::receive(), and one attempt of the asynchronous one.
[[nodiscard]] Result<TopicMessage> receive_from(const std::shared_ptr<TopicReader>&, Deadline);

}  // namespace bulkhead::ipc
