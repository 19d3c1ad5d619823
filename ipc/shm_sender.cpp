#include "ipc/shm_sender.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace bulkhead::ipc {
namespace {

constexpr const char* impossible_acknowledgement =
    "the peer acknowledged what it cannot have received";

// From here on a block that was used just now, in one piece, is faster than the next part of the ring.
constexpr std::size_t inline_bytes_max = std::size_t{16} << 10;

// The names of loans: blocks begin at multiples of 1 KiB, which leaves room for their size.
std::uint64_t token_of(Slab slab) noexcept {
  return slab.offset | static_cast<std::uint64_t>(std::countr_zero(slab.bytes));
}
Slab slab_of(std::uint64_t token) noexcept {
  return {token & ~std::uint64_t{slab_bytes_min - 1},
          std::uint64_t{1} << (token & (slab_bytes_min - 1))};
}

}  // namespace

ShmSender::ShmSender(ShmLink& link)
    : link_(link),
      single_(link.spec.peer_life == PeerLife::single),
      inline_most_(std::min(link.spec.options.max_message, inline_bytes_max)),
      lane_(link.segment.ring(), link.segment.page(), link.segment.facts().base_index),
      slabs_(link.segment.facts().slab_bytes,
             [&link](std::uint64_t offset, std::uint64_t bytes) {
               return link.segment.reserve_slabs(offset, bytes);
             }),
      base_(link.segment.facts().base_index),
      sleeper_(link.segment.page().wants_space, link.segment.page().cpu, link.roster.version(),
               *link.spec.attention, link.spec.options.wait),
      ringer_(link.segment.page().message_bell) {}

Result<void> ShmSender::check_size(std::size_t bytes) const {
  if (bytes <= link_.spec.options.max_message) return {};
  return make_error(Errc::message_too_big, link_.spec.link + ": " + std::to_string(bytes) +
                                               " bytes, max_message is " +
                                               std::to_string(link_.spec.options.max_message));
}

// Attempts until one succeeds: again whenever the peer has let go of something.
template <class Attempt>
Result<void> ShmSender::when_possible(Deadline deadline, const Attempt& attempt) {
  auto end = deadline.stopped() ? Sleeper::End::stopped : Sleeper::End::look;
  for (;;) {
    if (end == Sleeper::End::stopped) return link_.error(Errc::stopped);
    if (!is_clear()) return trouble();
    bool done = attempt();
    if (!done && peer_.segment) {
      reclaim();
      if (trouble_ != Errc{}) return trouble();
      done = attempt();
    }
    if (done) return {};
    if (end == Sleeper::End::timed_out) return link_.error(Errc::timed_out, "no space");
    if (deadline.is_now()) return link_.error(Errc::would_block);
    end = sleeper_.wait(
        deadline, signs(), seen_, [this] { return cursor_moved(); }, Sleeper::pauses_when_full);
  }
}

Result<void> ShmSender::send(std::span<const std::byte> bytes, Deadline deadline) {
  if (auto fits = check_size(bytes.size()); !fits) return fits;
  const bool large = bytes.size() > inline_most_;
  return when_possible(deadline, [&] {
    if (large && send_in_slab(bytes)) return true;
    if (!lane_.push(bytes)) return false;
    sent(bytes.size());
    return true;
  });
}

Result<void> ShmSender::send_batch(MessageBatch messages, Deadline deadline) {
  return when_possible(deadline, [&] {
    if (!lane_.push_batch(messages)) return false;
    sent(payload_bytes(messages), messages.size());
    return true;
  });
}

bool ShmSender::send_in_slab(std::span<const std::byte> bytes) {
  if (!lane_.has_room(sizeof(SlabRef))) return false;
  collect_slabs();  // a block that has just come back is still in a cache, and takes a copy fastest
  const auto slab = slabs_.take(bytes.size());
  if (!slab) return false;  // no error: the ring carries it
  std::memcpy(link_.segment.slabs().data() + slab->offset, bytes.data(), bytes.size());
  const bool pushed = push_slab(*slab, bytes.size());
  BULKHEAD_ASSERT(pushed);  // there was room, and only we take it
  return true;
}

Result<Endpoint::Lent> ShmSender::lend(std::size_t bytes, Deadline deadline) {
  if (auto fits = check_size(bytes); !fits) return fits.error();
  Result<Slab> slab = Slab{};
  const auto done = when_possible(deadline, [&] {
    if (!slabs_.has_at_hand(bytes)) collect_slabs();
    slab = slabs_.take(bytes);
    return slab || !slab.error().is(Errc::would_block) || under_way_.empty();
  });
  if (!done) return done.error();
  if (slab) {
    const auto area = link_.segment.slabs();
    return Endpoint::Lent{area.subspan(slab->offset, bytes), token_of(*slab)};
  }
  if (!slab.error().is(Errc::would_block)) {
    return link_.error(Errc::out_of_budget, slab.error().to_string().c_str());
  }
  return link_.error(Errc::out_of_budget, "loans that were not committed fill its slabs");
}

Result<void> ShmSender::commit(const Endpoint::Lent& lent, Deadline deadline) {
  const Slab slab = slab_of(lent.token);
  return when_possible(deadline, [&] { return push_slab(slab, lent.bytes.size()); });
}

void ShmSender::abandon(const Endpoint::Lent& lent) noexcept {
  slabs_.give_back(slab_of(lent.token));
}

bool ShmSender::push_slab(Slab slab, std::size_t bytes) noexcept {
  if (!lane_.push_slab({slab.offset, bytes})) return false;
  under_way_.push_back({lane_.position(), slab});
  sent(bytes);
  // The next block's ends are in the peer's cache, if anywhere: fetched while nobody waits for them.
  if (const auto next = slabs_.next_offset(slab.bytes)) {
    const std::byte* const at = link_.segment.slabs().data() + *next;
    __builtin_prefetch(at, 1);
    if (bytes > cache_line) __builtin_prefetch(at + bytes - 1, 1);
  }
  return true;
}

// (I5): a slab that a record in [acked, p) names is never written.
void ShmSender::collect_slabs() noexcept {
  if (peer_.segment && trouble_ == Errc{}) reclaim();
  while (!under_way_.empty() && under_way_.front().end <= lane_.reclaimed()) {
    slabs_.give_back(under_way_.front().slab);
    under_way_.pop_front();
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
  ringer_.wake(peer_.segment->page().armed, peer_, link_.roster, &Doorbells::message);
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
  bell_poll_.drain(peer_.doorbells, &Doorbells::space);
}

int ShmSender::doorbell() const noexcept {
  return bell_poll_.fd(peer_.doorbells, &Doorbells::space);
}

}  // namespace bulkhead::ipc
