#include "ipc/topic_writer.hpp"

#include <poll.h>

namespace bulkhead::ipc {
namespace {

constexpr const char* impossible_acknowledgement =
    "the subscriber acknowledged what it cannot have received";

TopicProducer::Overtake overtaking(Overflow overflow) noexcept {
  const bool yes = overflow == Overflow::drop_oldest || overflow == Overflow::conflate;
  return yes ? TopicProducer::Overtake::yes : TopicProducer::Overtake::no;
}

}  // namespace

TopicWriter::TopicWriter(EndSpec spec, Segment segment,
                         std::unique_ptr<TopicConnections> connections, std::uint64_t dropped)
    : TopicEnd(std::move(spec), std::move(segment), std::move(connections)),
      single_(link_.spec.peer_life == PeerLife::single),
      overflow_(link_.spec.topic->overflow),
      producer_(link_.segment.ring(), link_.segment.page(), overtaking(overflow_),
                link_.segment.facts().base_index, dropped),
      sleeper_(link_.segment.page().wants_space, link_.segment.page().cpu, link_.roster.version(),
               *link_.spec.attention, link_.spec.options.wait),
      ringer_(link_.segment.page().message_bell) {
  if (!connections_) return;
  outlet_.emplace(*connections_, link_.segment.page(), link_.spec.epoch,
                  overflow_ == Overflow::conflate);
}

void TopicWriter::look_around() {
  if (sleeper_.attention_moved()) sleeper_.service();
  if (link_.roster.version_now() != seen_) refresh();
  if (single_ && trouble_ == Errc{} && peer_.has_closed()) trouble_ = Errc::closed;
}

void TopicWriter::refresh() {
  const PeerView view = link_.roster.view();
  seen_ = view.version;
  const auto before = peer_.segment;
  peer_.adopt(view, link_.segment);
  if (peer_.segment != before) {
    violated_ = false;
    acked_turn_ = 0;
    ringer_.forget();
  }
  if (outlet_) {
    const bool lives = peer_.segment && !view.newest_dead;
    outlet_->turn_to(lives ? peer_.segment->facts().epoch : 0, producer_);
  }
  reason_ = "";
  // relaxed: nudge() published it together with the version that we have just read.
  if (link_.closed.load(std::memory_order_relaxed) || view.closed) {
    trouble_ = Errc::closed;
  } else if (view.refused) {
    trouble_ = Errc::protocol_violation;
    reason_ = "what the subscriber offered is no segment of ours";
  } else if (violated_) {
    trouble_ = Errc::protocol_violation;
    reason_ = impossible_acknowledgement;
  } else if (single_ && view.newest_dead) {
    trouble_ = Errc::peer_died;
  } else {
    trouble_ = Errc{};
  }
}

// Only when our private copy of the cursor says "full". The words are checked, never believed: the
// cursor moves forward within what we committed, or the subscriber is at fault.
void TopicWriter::read_cursor() noexcept {
  if (!peer_.segment) return;
  const EndPage& page = peer_.segment->page();
  acked_turn_ =
      page.acked.turn.load(std::memory_order_relaxed);  // relaxed: load_twin reads it again
  const auto acknowledged = load_acknowledged(page);
  if (!acknowledged) return;
  const std::uint16_t epoch = acknowledged->cursor.epoch;
  if (epoch == link_.spec.epoch) {
    if (producer_.acknowledge(acknowledged->cursor.position)) return;
  } else if (!is_newer(epoch, link_.spec.epoch) && producer_.acknowledged() == 0) {
    return;  // still busy with what our predecessors committed
  }
  violated_ = true;
  violations_.add(1);
  trouble_ = Errc::protocol_violation;
  reason_ = impossible_acknowledgement;
}

bool TopicWriter::cursor_moved() const noexcept {
  if (!peer_.segment) return false;
  // relaxed: read_cursor() reads the words behind it with acquire.
  return peer_.segment->page().acked.turn.load(std::memory_order_relaxed) != acked_turn_ ||
         (single_ && peer_.has_closed());
}

// There is room, or nobody to have room for.
bool TopicWriter::may_publish(std::size_t bytes) {
  if (overflow_ != Overflow::block) return true;
  look_around();
  give();
  if (!is_gone() && !producer_.has_room(bytes)) read_cursor();
  return is_gone() || producer_.has_room(bytes);
}

Result<void> TopicWriter::await_room(std::size_t bytes, Deadline deadline) {
  auto end = Sleeper::End::look;
  for (;;) {
    if (end == Sleeper::End::stopped) return link_.error(Errc::stopped);
    if (may_publish(bytes)) return {};
    if (end == Sleeper::End::timed_out) {
      return link_.error(Errc::timed_out, ("no space for " + link_.spec.peer).c_str());
    }
    if (deadline.is_now()) return link_.error(Errc::would_block);
    end = sleeper_.wait(
        deadline, signs(), seen_, [this] { return cursor_moved(); }, Sleeper::pauses_when_full);
  }
}

bool TopicWriter::prepare_send_wait(std::size_t bytes) {
  if (may_publish(bytes)) return true;
  sleeper_.arm(Sleep::on_doorbell, peer_.barrier);
  if (!may_publish(bytes)) return false;
  sleeper_.disarm();
  return true;
}

void TopicWriter::finish_send_wait() noexcept {
  if (sleeper_.is_armed()) sleeper_.disarm();
  bell_poll_.drain(peer_.doorbells, bell);
}

WaitPlan TopicWriter::send_plan() const noexcept {
  return {bell_poll_.fd(peer_.doorbells, bell), POLLIN};
}

void TopicWriter::publish(std::span<const std::byte> bytes, std::uint64_t number) noexcept {
  bool pushed = false;
  if (!is_gone()) {
    if (overflow_ == Overflow::drop_newest && !producer_.has_room(bytes.size())) read_cursor();
    pushed = !is_gone() && producer_.push(bytes);
  }
  if (!pushed) {
    producer_.skip_to(number);
    dropped_.add(1);
    return give();
  }
  BULKHEAD_ASSERT(producer_.number() == number);
  sent_.add(1);
  bytes_.add(bytes.size());
  give();
}

void TopicWriter::wake() noexcept {
  if (!peer_.segment) return;
  waker_barrier(peer_.barrier);
  const auto& arming = peer_.segment->page().armed;
  if (ringer_.is_asleep(arming)) ringer_.wake(arming, peer_, link_.roster, bell);
}

// What the kernel takes. A subscriber that sleeps on its connection is woken by that; whoever finds nothing there
// reads the lane, and sleeps on a futex.
void TopicWriter::give() noexcept {
  if (!outlet_) return;
  if (outlet_->is_behind() && !is_gone())
    read_cursor();  // what it took from the lane needs no frame
  outlet_->give(producer_);
}

void TopicWriter::let_go_of_connection() noexcept {
  if (outlet_) outlet_->let_go();
}

PeerSigns TopicWriter::signs() const noexcept {
  if (!peer_.segment) return {};
  return {&peer_.segment->page().space_bell, &peer_.segment->page().cpu, peer_.barrier};
}

ChannelStats TopicWriter::stats() const noexcept {
  ChannelStats stats;
  stats.sent = sent_.get();
  stats.bytes_sent = bytes_.get();
  stats.sleeps = sleeper_.sleeps();
  stats.wakes = ringer_.wakes();
  stats.safety_net = sleeper_.safety_net();
  stats.violations = violations_.get() + link_.roster.violations();
  if (connections_) stats.violations += connections_->violations();
  return stats;
}

}  // namespace bulkhead::ipc
