#include "ipc/topic_reader.hpp"

#include <algorithm>
#include <utility>

#include "ipc/socket_spin.hpp"

namespace bulkhead::ipc {

TopicReader::TopicReader(EndSpec spec, Segment segment,
                         std::unique_ptr<TopicConnections> connections, const TopicResume& resume)
    : TopicEnd(std::move(spec), std::move(segment), std::move(connections)),
      single_(link_.spec.peer_life == PeerLife::single),
      resume_(resume),
      accounted_(resume.acknowledged.count),
      dropped_total_(resume.dropped),
      acknowledged_(resume.acknowledged),
      within_taken_(resume.taken.epoch != 0),
      sleeper_(link_.segment.page().armed, link_.segment.page().cpu, link_.roster.version(),
               *link_.spec.attention, link_.spec.options.wait),
      ringer_(link_.segment.page().space_bell) {
  // Before the segment is offered: a publisher that switches to it finds the cursor where it was.
  EndPage& page = link_.segment.page();
  store_taken(page, resume.taken);
  store_redelivered(page, resume.redelivered);
  store_dropped(page, resume.dropped);
  store_acknowledged(page, resume.acknowledged);
  if (connections_) inlet_.emplace(*connections_, link_.spec.epoch);
}

void TopicReader::look_around() {
  if (sleeper_.attention_moved()) sleeper_.service();
  if (link_.roster.version_now() != seen_) refresh();
}

void TopicReader::refresh() {
  const auto before = peer_.segment;
  view_ = link_.roster.view();
  seen_ = view_.version;
  peer_.adopt(view_, link_.segment);
  if (peer_.segment != before) ringer_.forget();
  if (inlet_ && source_) inlet_->turn_to(source_->epoch);
}

Result<TopicDelivery> TopicReader::take_unwatched(Deadline deadline) {
  SocketSpin spin(link_.spec.options.wait, pace_);
  auto end = deadline.stopped() ? Sleeper::End::stopped : Sleeper::End::look;
  for (;;) {
    if (end == Sleeper::End::stopped) return link_.error(Errc::stopped);
    look_around();
    TopicDelivery delivery;
    if (take_next(delivery)) {
      spin.ended();
      sleeper_.found();
      return delivery;
    }
    if (const auto ended = ending()) {
      // What the publisher committed before it closed may have come since we looked.
      if (complaint_ == nullptr && take_next(delivery)) return delivery;
      complained_ = true;
      return link_.error(*ended, complaint_ == nullptr ? "" : complaint_);
    }
    if (end == Sleeper::End::timed_out) return link_.error(Errc::timed_out, "no message");
    if (deadline.is_now()) return make_error(Errc::would_block, {});
    if (is_awaited() && spin.goes_on()) continue;
    end = wait(deadline);
  }
}

template <class Look>
bool TopicReader::find_next(const Look& look) {
  // relaxed: nudge() published it together with the version that look_around() has read.
  if (link_.closed.load(std::memory_order_relaxed)) return false;
  while (source_ || next_source()) {
    if (complaint_ == nullptr) {
      switch (look()) {
        case TopicConsumer::Found::message: return true;
        case TopicConsumer::Found::violation:
          violate(inlet_ ? inlet_->complaint() : source_->lane.complaint());
          break;
        case TopicConsumer::Found::nothing: break;
      }
    }
    // The death was known before the poll, so the poll saw all that was committed.
    if (!source_is_drained() || !next_source()) return false;
  }
  return false;
}

bool TopicReader::take_next(TopicDelivery& delivery) {
  const bool found = find_next([this] {
    if (!inlet_) return source_->lane.poll(spare_);
    return inlet_->poll(source_->lane, source_->segment->page(), is_finished(), spare_);
  });
  if (found) hand_out(delivery);
  return found;
}

bool TopicReader::has_next() {
  TopicConsumer::Head head;
  return find_next([&] {
    if (!inlet_) return source_->lane.peek(head);
    return inlet_->find(source_->lane, source_->segment->page(), is_finished(), head);
  });
}

// Whether the source will commit no more.
bool TopicReader::is_finished() const noexcept {
  return source_is_drained() || view_.closed || (single_ && peer_.has_closed());
}

void TopicReader::note_redelivered() noexcept {
  redelivered_.add(1);
  store_redelivered(link_.segment.page(), resume_.redelivered + redelivered_.get());
}

void TopicReader::settle(TopicDelivery& delivery) noexcept {
  if (spare_.words.capacity() == 0) spare_.words = std::move(delivery.words);
  if (delivery.number <= acknowledged_.count) return;
  acknowledged_ = {{delivery.epoch, delivery.end}, delivery.number};
  EndPage& page = link_.segment.page();
  store_dropped(page, delivery.dropped);
  store_acknowledged(page, acknowledged_);
  if (!peer_.segment) return;
  waker_barrier(peer_.barrier);
  const auto& arming = peer_.segment->page().wants_space;
  if (ringer_.is_asleep(arming)) ringer_.wake(arming, peer_, link_.roster, bell);
}

bool TopicReader::is_within_taken(Cursor end) noexcept {
  const Cursor taken = resume_.taken;
  const Cursor acked = resume_.acknowledged.cursor;
  const std::uint64_t from = acked.epoch == end.epoch ? acked.position : 0;
  within_taken_ = taken.epoch == end.epoch
                      ? distance(from, end.position) <= distance(from, taken.position)
                      : is_newer(taken.epoch, end.epoch);
  return within_taken_;
}

bool TopicReader::source_is_drained() const noexcept {
  const std::uint16_t epoch = source_->epoch;
  // A successor exists only after a confirmed death.
  return !is_newer(epoch, view_.dead_through) || view_.segments.back()->facts().epoch != epoch;
}

// The oldest incarnation after the current one; at first, the one that the cursor names, if its memory is
// still there. Numbers that lie between two incarnations are a gap. False when there is none yet, or when
// a complaint is to be heard first.
bool TopicReader::next_source() {
  if (complaint_ != nullptr && !complained_) return false;
  const Cursor from = source_ ? Cursor{source_->epoch, 0} : resume_.acknowledged.cursor;
  for (const auto& segment : view_.segments) {
    const auto& facts = segment->facts();
    const bool resumes = !source_ && facts.epoch == from.epoch;
    if (!resumes && !is_newer(facts.epoch, from.epoch)) continue;
    if (!resumes && facts.base_index < accounted_) {
      if (complaint_ == nullptr) {
        violate("an incarnation of the publisher gives numbers again");
        return false;
      }
      accounted_ = facts.base_index;
    }
    const TopicPolicy& policy = *link_.spec.topic;
    source_.emplace(Source{segment, facts.epoch,
                           TopicConsumer(segment->page(), segment->ring(),
                                         {.position = resumes ? from.position : 0,
                                          .number = facts.base_index,
                                          .history = source_ ? 0 : policy.history,
                                          .conflates = policy.overflow == Overflow::conflate})});
    complaint_ = nullptr;
    link_.roster.forget_before(facts.epoch);
    if (inlet_) inlet_->turn_to(facts.epoch);
    return true;
  }
  return false;
}

void TopicReader::violate(const char* complaint) noexcept {
  complaint_ = complaint;
  complained_ = false;
  violations_.add(1);
}

std::optional<Errc> TopicReader::ending() const noexcept {
  // relaxed: nudge() published it together with the version that look_around() has read.
  if (link_.closed.load(std::memory_order_relaxed)) return Errc::closed;
  if (view_.refused || complaint_ != nullptr) return Errc::protocol_violation;
  if (view_.closed || (single_ && peer_.has_closed())) return Errc::closed;
  if (single_ && view_.newest_dead) return Errc::peer_died;
  return std::nullopt;
}

void TopicReader::let_go_of_connection() noexcept {
  if (inlet_) inlet_->let_go();
}

ChannelStats TopicReader::stats() const noexcept {
  ChannelStats stats;
  stats.received = received_.get();
  stats.redelivered = redelivered_.get();
  stats.bytes_received = bytes_.get();
  stats.sleeps = sleeper_.sleeps();
  stats.wakes = ringer_.wakes();
  stats.safety_net = sleeper_.safety_net();
  stats.violations = violations_.get() + link_.roster.violations();
  if (connections_) stats.violations += connections_->violations();
  return stats;
}

}  // namespace bulkhead::ipc
