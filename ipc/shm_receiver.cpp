#include "ipc/shm_receiver.hpp"

namespace bulkhead::ipc {

ShmReceiver::ShmReceiver(ShmLink& link, const ResumeState& resume)
    : link_(link),
      single_(link.spec.peer_life == PeerLife::single),
      resume_(resume),
      ledger_(resume.acknowledged.count),
      taken_before_(resume),
      sleeper_(link.segment.page().armed, link.segment.page().cpu, link.roster.version(),
               *link.spec.attention, link.spec.options.wait),
      ringer_(link.segment.page().space_bell) {
  store_resume(link.segment.page(), resume);
}

Result<void> ShmReceiver::receive(Received& received, Deadline deadline) {
  auto end = deadline.stopped() ? Sleeper::End::stopped : Sleeper::End::look;
  for (;;) {
    if (end == Sleeper::End::stopped) return link_.error(Errc::stopped);
    look_around();
    if (take(received)) return {};
    if (const auto ended = ending()) {
      // What the peer committed before it closed may have come since we looked.
      if (complaint_ == nullptr && take(received)) return {};
      complained_ = true;
      return link_.error(*ended, complaint_ == nullptr ? "" : complaint_);
    }
    if (end == Sleeper::End::timed_out) return link_.error(Errc::timed_out, "no message");
    if (deadline.is_now()) return make_error(Errc::would_block, {});
    end = sleeper_.wait(deadline, signs(), seen_, [this] { return is_ready(); });
  }
}

void ShmReceiver::refresh() {
  const auto before = peer_.segment;
  view_ = link_.roster.view();
  seen_ = view_.version;
  peer_.adopt(view_, link_.segment);
  if (peer_.segment != before) ringer_.forget();
  decide_polling();
}

bool ShmReceiver::take(Received& received) {
  // relaxed: nudge() published it together with the version that look_around() has read.
  if (link_.closed.load(std::memory_order_relaxed)) return false;
  if (ledger_.has_returned()) return take_returned(received);
  while (source_ || next_source()) {
    if (can_poll_) {
      LaneConsumer::Record record;
      switch (source_->lane.poll(record)) {
        case LaneConsumer::Found::record: hand_out(record, received); return true;
        case LaneConsumer::Found::violation: violate(source_->lane.complaint()); break;
        case LaneConsumer::Found::nothing: break;
      }
    }
    // The death was known before the poll, so the poll saw all that was committed.
    if (!source_is_drained() || !next_source()) return false;
  }
  return false;
}

bool ShmReceiver::take_returned(Received& received) {
  const std::uint64_t index = ledger_.next();
  const auto& delivery = ledger_.deliver_again();
  received = {delivery.bytes, index, unpack(delivery.end).epoch, true};
  note_redelivered();
  return true;
}

void ShmReceiver::note_redelivered() noexcept {
  redelivered_.add(1);
  store_redelivered(link_.segment.page(), resume_.redelivered + redelivered_.get());
}

bool ShmReceiver::source_is_drained() const noexcept {
  const std::uint16_t epoch = source_->epoch;
  // A successor exists only after a confirmed death.
  return !is_newer(epoch, view_.dead_through) || view_.segments.back()->facts().epoch != epoch;
}

// The oldest incarnation after the current one; at first, the one that the cursor names. False when
// it is not here yet, or when a complaint is to be heard first.
bool ShmReceiver::next_source() {
  if (complaint_ != nullptr && !complained_) return false;
  const Cursor from = source_ ? Cursor{source_->epoch, 0} : resume_.acknowledged.cursor;
  for (const auto& segment : view_.segments) {
    const auto& facts = segment->facts();
    const bool resumes = !source_ && facts.epoch == from.epoch;
    if (!resumes && !is_newer(facts.epoch, from.epoch)) continue;
    if (!resumes && facts.base_index != ledger_.limit() - 1 &&
        !renumber(facts.epoch, facts.base_index))
      return false;
    const std::uint64_t last_index = ledger_.limit() - 1;
    if (source_ && ledger_.settled() != last_index) held_.push_back({source_->segment, last_index});
    source_.emplace(Source{
        segment, facts.epoch,
        LaneConsumer(segment->ring(), resumes ? from.position : 0, last_index, segment->slabs())});
    complaint_ = nullptr;
    decide_polling();
    link_.roster.forget_before(facts.epoch);
    return true;
  }
  return false;
}

// An incarnation does not begin where the one before it ended. What lies between is lost, which
// receive() says once; then the link goes on, as soon as nobody holds a message of the old numbers.
bool ShmReceiver::renumber(std::uint16_t epoch, std::uint64_t base_index) {
  const bool settled = ledger_.settled() == ledger_.limit() - 1;
  if (complaint_ == nullptr) {
    violate("an incarnation does not begin where the one before it ended");
    // Who ends on the complaint must not leave it to each of its successors.
    if (settled) store_acknowledged(link_.segment.page(), {{epoch, 0}, base_index});
    return false;
  }
  if (!settled) return false;
  ledger_ = DeliveryLedger(base_index);
  return true;
}

void ShmReceiver::violate(const char* complaint) noexcept {
  complaint_ = complaint;
  complained_ = false;
  decide_polling();
  violations_.add(1);
}

std::optional<Errc> ShmReceiver::ending() const noexcept {
  // relaxed: nudge() published it together with the version that look_around() has read.
  if (link_.closed.load(std::memory_order_relaxed)) return Errc::closed;
  if (view_.refused || complaint_ != nullptr) return Errc::protocol_violation;
  if (view_.closed || (single_ && peer_.has_closed())) return Errc::closed;
  if (single_ && view_.newest_dead) return Errc::peer_died;
  return std::nullopt;
}

void ShmReceiver::release(std::uint64_t index) noexcept {
  if (ledger_.release(index)) publish_acknowledged();
}

void ShmReceiver::let_go_of_exhausted() noexcept {
  while (!held_.empty() && held_.front().last_index <= ledger_.settled())
    held_.erase(held_.begin());
}

void ShmReceiver::wake_sender() noexcept {
  ringer_.wake(peer_.segment->page().wants_space, peer_, link_.roster, &Doorbells::space);
}

PeerSigns ShmReceiver::signs() const noexcept {
  if (!peer_.segment) return {};
  return {&peer_.segment->page().message_bell, &peer_.segment->page().cpu, peer_.barrier};
}

bool ShmReceiver::can_act() {
  look_around();
  if (ledger_.has_returned()) return true;
  while (source_ || next_source()) {
    if (is_ready()) return true;
    if (!source_is_drained() || !next_source()) break;
  }
  return ending().has_value();
}

bool ShmReceiver::prepare_wait() {
  if (can_act()) return true;
  sleeper_.arm(Sleep::on_doorbell, peer_.barrier);
  if (!can_act()) return false;
  sleeper_.disarm();
  return true;
}

// Before the first call of this direction there is no picture yet, but there may be a doorbell.
int ShmReceiver::doorbell() const noexcept {
  const auto bells = peer_.doorbells ? peer_.doorbells : link_.roster.doorbells();
  return bell_poll_.fd(bells, &Doorbells::message);
}

void ShmReceiver::finish_wait() noexcept {
  if (sleeper_.is_armed()) sleeper_.disarm();
  bell_poll_.drain(peer_.doorbells, &Doorbells::message);
}

}  // namespace bulkhead::ipc
