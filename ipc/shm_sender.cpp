#include "ipc/shm_sender.hpp"

namespace bulkhead::ipc {
namespace {

constexpr const char* impossible_acknowledgement =
    "the peer acknowledged what it cannot have received";

}  // namespace

ShmSender::ShmSender(ShmLink& link)
    : link_(link),
      single_(link.spec.peer_life == PeerLife::single),
      lane_(link.segment.ring(), link.segment.page(), link.segment.facts().base_index),
      base_(link.segment.facts().base_index),
      sleeper_(link.segment.page().wants_space, link.segment.page().cpu, link.roster.version(),
               *link.spec.attention, link.spec.options.wait),
      ringer_(link.segment.page().message_bell) {}

Result<void> ShmSender::send(std::span<const std::byte> bytes, Deadline deadline) {
  if (bytes.size() > link_.spec.options.max_message) {
    return make_error(Errc::message_too_big, link_.spec.link + ": " + std::to_string(bytes.size()) +
                                                 " bytes, max_message is " +
                                                 std::to_string(link_.spec.options.max_message));
  }
  auto end = deadline.stopped() ? Sleeper::End::stopped : Sleeper::End::look;
  for (;;) {
    if (end == Sleeper::End::stopped) return link_.error(Errc::stopped);
    if (!is_clear()) return trouble();
    bool committed = lane_.push(bytes);
    if (!committed && peer_.segment) {
      reclaim();
      if (trouble_ != Errc{}) return trouble();
      committed = lane_.push(bytes);
    }
    if (committed) {
      sent_.add(1);
      bytes_.add(bytes.size());
      if (peer_.segment) wake_receiver();
      return {};
    }
    if (end == Sleeper::End::timed_out) return link_.error(Errc::timed_out, "no space");
    if (deadline.is_now()) return link_.error(Errc::would_block);
    end = sleeper_.wait(deadline, signs(), seen_, [this] { return cursor_moved(); });
  }
}

void ShmSender::refresh() {
  const PeerView view = link_.roster.view();
  seen_ = view.version;
  const auto before = peer_.segment;
  peer_.adopt(view, link_.segment);
  if (peer_.segment != before) {
    violated_ = false;
    acked_turn_ = 0;
    ringer_.forget();
  }
  // relaxed: nudge() published it together with the version that we have just read.
  if (link_.closed.load(std::memory_order_relaxed) || view.closed) {
    trouble_ = Errc::closed;
    reason_ = "";
  } else if (view.refused) {
    trouble_ = Errc::protocol_violation;
    reason_ = "what the peer offered is no segment of ours";
  } else if (violated_) {
    trouble_ = Errc::protocol_violation;
    reason_ = impossible_acknowledgement;
  } else if (single_ && view.newest_dead) {
    trouble_ = Errc::peer_died;
    reason_ = "";
  } else {
    trouble_ = Errc{};
  }
}

Error ShmSender::trouble() const {
  return trouble_ == Errc{} ? link_.error(Errc::closed) : link_.error(trouble_, reason_);
}

// Only when our private copy of the cursor says "full" (I4). The peer's words are checked, never
// believed: the cursor moves forward within what we committed, or the peer is at fault.
void ShmSender::reclaim() noexcept {
  const EndPage& page = peer_.segment->page();
  acked_turn_ =
      page.acked.turn.load(std::memory_order_relaxed);  // relaxed: load_twin reads it again
  const auto acknowledged = load_acknowledged(page);
  if (!acknowledged) return;
  const std::uint16_t epoch = acknowledged->cursor.epoch;
  if (epoch == link_.spec.epoch) {
    if (lane_.reclaim(acknowledged->cursor.position)) return;
  } else if (!is_newer(epoch, link_.spec.epoch) && lane_.reclaimed() == 0) {
    return;  // still busy with what our predecessors committed
  }
  violated_ = true;
  violations_.add(1);
  trouble_ = Errc::protocol_violation;
  reason_ = impossible_acknowledgement;
}

bool ShmSender::cursor_moved() const noexcept {
  if (!peer_.segment) return false;
  // relaxed: reclaim() reads the words behind it with acquire.
  return peer_.segment->page().acked.turn.load(std::memory_order_relaxed) != acked_turn_ ||
         (single_ && peer_.has_closed());
}

void ShmSender::wake_receiver() noexcept {
  waker_barrier(peer_.barrier);
  const auto& arming = peer_.segment->page().armed;
  if (ringer_.ring_if_asleep(arming, peer_.doorbells ? &peer_.doorbells->message : nullptr)) return;
  // The doorbells may have come since we looked; if not, whoever brings them rings (ShmEndpoint::post).
  refresh();
  if (peer_.segment && peer_.doorbells) {
    ringer_.ring_if_asleep(peer_.segment->page().armed, &peer_.doorbells->message);
  }
}

PeerSigns ShmSender::signs() const noexcept {
  if (!peer_.segment) return {};
  return {&peer_.segment->page().space_bell, &peer_.segment->page().cpu, peer_.barrier};
}

bool ShmSender::prepare_wait(std::size_t bytes) {
  const auto can_act = [&] {
    if (!is_clear() || bytes > link_.spec.options.max_message || lane_.has_room(bytes)) return true;
    if (peer_.segment) reclaim();
    return trouble_ != Errc{} || lane_.has_room(bytes);
  };
  if (can_act()) return true;
  sleeper_.arm(Sleep::on_doorbell, peer_.barrier);
  if (!can_act()) return false;
  sleeper_.disarm();
  return true;
}

void ShmSender::finish_wait() noexcept {
  if (sleeper_.is_armed()) sleeper_.disarm();
  if (const auto* bell = space_bell()) Doorbells::drain(*bell);
}

const base::UniqueFd* ShmSender::space_bell() const noexcept {
  return peer_.doorbells && peer_.doorbells->space.is_open() ? &peer_.doorbells->space : nullptr;
}

int ShmSender::doorbell() const noexcept {
  const auto* bell = space_bell();
  return bell == nullptr ? -1 : bell->get();
}

}  // namespace bulkhead::ipc
