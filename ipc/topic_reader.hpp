// A subscriber's end: drains the publisher's incarnations in order, tells gaps, keeps the cursors in our
// end page, waits (topic_reader_wait.cpp). Used by Topic. One thread, the one that lets messages go included.
#pragma once

#include <bulkhead/topic.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

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
  // The common cases, inline: a message is there, or nothing, and nothing else is going on.
  using Glance = TopicConsumer::Glance;
  [[gnu::always_inline]] Glance take_at_once(TopicDelivery& delivery, Deadline deadline) {
    const bool quiet = !sleeper_.attention_moved() && link_.roster.version_now() == seen_ &&
                       !deadline.stopped() && source_ && !inlet_ && complaint_ == nullptr;
    if (!quiet) return Glance::unusual;
    const Glance glance = source_->lane.take(spare_);
    if (glance == Glance::message) hand_out(delivery);
    return glance;
  }
  // How often take_at_once() is worth a try: once where waiting is not wanted.
  int looks_at_once(Deadline deadline) const noexcept {
    return deadline.is_now() ? 1 : sleeper_.looks_at_once();
  }
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
  void hand_out(TopicDelivery&) noexcept;
  void note_redelivered() noexcept;
  bool next_source();
  bool source_is_drained() const noexcept;
  bool was_taken(Cursor end) noexcept { return within_taken_ && is_within_taken(end); }
  bool is_within_taken(Cursor end) noexcept;
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
  TopicConsumer::Message spare_;     // memory for the next message, then the message
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

// What our predecessor acknowledged comes only as history, and tells no gap: that was told to it.
inline void TopicReader::hand_out(TopicDelivery& delivery) noexcept {
  const TopicConsumer::Message& message = spare_;
  const Cursor end{source_->epoch, message.end};
  const bool again = message.number <= resume_.acknowledged.count || was_taken(end);
  if (again) {
    note_redelivered();
  } else {
    store_taken(link_.segment.page(), end);
  }
  delivery.gap = message.number > accounted_ ? message.number - accounted_ - 1 : 0;
  if (message.number > accounted_) accounted_ = message.number;
  dropped_total_ += delivery.gap;
  told_.add(delivery.gap);
  received_.add(1);
  bytes_.add(message.bytes);
  delivery.words = std::move(spare_.words);
  delivery.bytes = message.bytes;
  delivery.number = message.number;
  delivery.end = message.end;
  delivery.dropped = dropped_total_;
  delivery.epoch = end.epoch;
  delivery.redelivered = again;
}

// Topic::receive(), and one attempt of the asynchronous one.
[[nodiscard]] Result<TopicMessage> receive_from(const std::shared_ptr<TopicReader>&, Deadline);

}  // namespace bulkhead::ipc
