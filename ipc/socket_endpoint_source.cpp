// Where a SocketEndpoint takes the next message from: the connection, and the window of the incarnation that
// fills both. Its sync tags are in the table of socket_endpoint.cpp.
//
// The peer's incarnations are drained in order. While one lives and says that it is in step with us, its
// connection brings everything. In all other cases (it is dead, the connection is gone or new, the kernel
// refused a frame and perhaps nobody calls the sender again) its window is read as well, and what the
// connection brings later is recognised by its number.
#include <cstring>
#include <string>
#include <utility>

#include "ipc/epoch.hpp"
#include "ipc/socket_endpoint.hpp"

namespace bulkhead::ipc {
namespace {

// A connection may repeat a window's worth; a hostile one would go on for ever.
constexpr int repeats_max = 1024;

}  // namespace

void SocketEndpoint::refresh_receiver() {
  // sync socket.version: acquire; pairs with post(); shows that there is news under the lock
  const std::uint64_t version = version_.load(std::memory_order_acquire);
  if (version == in_version_) return;
  in_version_ = version;
  view_ = roster_.view();
  const auto before = writer_.segment;
  writer_.adopt(view_, segment_);
  if (writer_.segment != before) ringer_.forget();
  const std::lock_guard links(links_);
  ours_ = newest_;
  in_closed_ = peer_closed_;
  in_died_ = peer_died_;
}

SocketEndpoint::Taken SocketEndpoint::take(Incoming& incoming) {
  for (;;) {
    // sync socket.verdict: acquire; pairs with over_or_nothing(); nothing but the word
    if (verdict_.load(std::memory_order_acquire) != Verdict::open) return Taken::over;
    refresh_receiver();
    // Known before the look, so that the look sees all that was committed.
    const bool closed = in_closed_ || (is_single() && writer_.has_closed());
    const bool died = in_died_;
    if (source_ || next_source()) {
      const bool finished = source_is_finished(closed);
      const auto taken = take_from_source(finished, incoming);
      if (taken != Taken::nothing) return taken;
      if (source_->segment ? finished && next_source() : next_bare_source()) continue;
    }
    return complaint_due_ ? Taken::violated : over_or_nothing(closed, died);
  }
}

// The oldest incarnation after the current one; at first, the one that the cursor names. False when it is not
// here yet, or when a complaint is to be heard first.
bool SocketEndpoint::next_source() {
  const Cursor from = source_ ? Cursor{source_->epoch, 0} : resume_.acknowledged.cursor;
  for (const auto& segment : view_.segments) {
    const auto& facts = segment->facts();
    const bool resumes = !source_ && facts.epoch == from.epoch;
    if (!resumes && !is_newer(facts.epoch, from.epoch)) continue;
    if (!resumes && facts.base_index != last_index_ && !renumber(facts.epoch, facts.base_index)) {
      return false;
    }
    source_.emplace(
        SocketSource{facts.epoch, segment,
                     LaneConsumer(segment->ring(), resumes ? from.position : 0, last_index_)});
    if (in_ && in_->peer_epoch != facts.epoch) in_.reset();
    connection_over_ = said_goodbye_ = false;
    roster_.forget_before(facts.epoch);
    return true;
  }
  return view_.segments.empty() && next_bare_source();
}

// A connection to a peer whose pages we were never given: nothing but its frames.
bool SocketEndpoint::next_bare_source() {
  if (in_ || view_.refused || !view_.segments.empty()) return false;
  const std::lock_guard links(links_);
  if (arrived_.empty()) return false;
  source_.emplace(
      SocketSource{arrived_.front()->peer_epoch, nullptr, LaneConsumer({}, 0, last_index_)});
  return true;
}

// An incarnation does not begin where the one before it ended. What lies between is lost, which receive() says
// once; then the link goes on, as soon as nobody holds a message of the old numbers.
bool SocketEndpoint::renumber(std::uint16_t epoch, std::uint64_t base_index) {
  const bool settled = backlog_.empty() && ledger_.settled() == ledger_.limit() - 1;
  const bool told = renumbering_ == epoch || (source_ && source_->spoiled);
  if (!told) {
    renumbering_ = epoch;
    violate();
    violation_ = fail(Errc::protocol_violation,
                      "an incarnation does not begin where the one before it ended");
    complaint_due_ = true;
    // Who ends on the complaint must not leave it to each of its successors.
    if (settled) store_acknowledged(segment_.page(), {{epoch, 0}, base_index});
    return false;
  }
  if (complaint_due_ || !settled) return false;
  ledger_ = DeliveryLedger(base_index);
  last_index_ = base_index;
  first_held_ = base_index + 1;
  return true;
}

// Whether everything that it will ever commit is in its window, or, without one, on its connection.
bool SocketEndpoint::source_is_finished(bool closed) const noexcept {
  if (!source_->segment) {
    // sync socket.gone: acquire; pairs with post(); what the peer wrote is there or on its way
    return in_ && in_->peer_gone.load(std::memory_order_acquire);
  }
  const std::uint16_t epoch = source_->epoch;
  // A successor exists only after a confirmed death.
  const bool last = view_.segments.empty() || view_.segments.back()->facts().epoch == epoch;
  return closed || !last || !is_newer(epoch, view_.dead_through);
}

SocketEndpoint::Taken SocketEndpoint::take_from_source(bool finished, Incoming& incoming) {
  if (source_->spoiled) return Taken::nothing;
  const bool windowed = source_->segment != nullptr;
  if (windowed && finished) {
    in_.reset();  // its window has all of it
  } else {
    adopt_connection();
    if (windowed && glances_ && has_nothing_new()) return Taken::nothing;
    if (in_) {
      const auto taken = take_from_connection(incoming);
      if (taken != Taken::nothing) return taken;
      if (in_ && !windowed && finished && is_drained()) end_connection(false);
    }
  }
  return windowed && (finished || reads_window()) ? take_from_window(incoming) : Taken::nothing;
}

// One that is replaced while its peer lives, because it was cut, ends for us at once: what it still has is in the window.
void SocketEndpoint::adopt_connection() {
  // sync socket.gone: acquire; pairs with post(); another connection, if it was for that, is in arrived_
  const bool replaced = in_ && source_->segment && in_->peer_gone.load(std::memory_order_acquire);
  if (in_ && !replaced) return;
  const std::lock_guard links(links_);
  while (!arrived_.empty() && is_newer(source_->epoch, arrived_.front()->peer_epoch)) {
    arrived_.pop_front();
  }
  if (arrived_.empty() || arrived_.front()->peer_epoch != source_->epoch) return;
  in_ = std::move(arrived_.front());
  arrived_.pop_front();
  connection_over_ = said_goodbye_ = false;
  source_->catching_up = true;
}

SocketEndpoint::Taken SocketEndpoint::take_from_connection(Incoming& incoming) {
  for (int repeats = 0; repeats < repeats_max; ++repeats) {
    switch (in_->reader->next(*in_->wire, incoming)) {
      case ReadStatus::message: break;
      case ReadStatus::nothing: return Taken::nothing;
      case ReadStatus::no_memory: return Taken::no_memory;
      case ReadStatus::closed: end_connection(true); return Taken::nothing;
      case ReadStatus::ended: end_connection(false); return Taken::nothing;
      case ReadStatus::violated: return spoil(in_->reader->fault());
    }
    in_->settled_at.reset();
    if (incoming.index > last_index_ || !source_->segment) return place(incoming);
    pool_.put(std::move(incoming.buffer));  // taken from the window before
  }
  return Taken::nothing;
}

// The frame must be the next message, and the one that lies next in the window.
SocketEndpoint::Taken SocketEndpoint::place(Incoming& incoming) {
  if (incoming.index != last_index_ + 1) {
    return spoil(make_error(Errc::protocol_violation,
                            "message " + std::to_string(incoming.index) + " where message " +
                                std::to_string(last_index_ + 1) + " was due"));
  }
  incoming.end = incoming.index;  // nobody asks for the position of a bare peer's message
  if (source_->segment) {
    LaneConsumer::Record record;
    if (source_->lane.poll(record) != LaneConsumer::Found::record ||
        record.bytes.size() != incoming.bytes) {
      return spoil(make_error(Errc::protocol_violation,
                              "message " + std::to_string(incoming.index) +
                                  " is not what its sender's window has in its place"));
    }
    incoming.end = record.end;
  }
  last_index_ = incoming.index;
  return Taken::message;
}

// A frame is written after its record: without a record the connection has no message, and what else it may have
// (its end, a goodbye) wakes who waits for it.
bool SocketEndpoint::has_nothing_new() const noexcept {
  return in_ && !source_->catching_up && !in_->reader->has_message() && !source_->lane.ready();
}

// The connection is quiet or gone. Unless its sender says that the connection was given everything, there may
// be more in the window.
bool SocketEndpoint::reads_window() const noexcept {
  if (!in_ || source_->catching_up) return true;
  // sync socket.in_step: acquire; pairs with set_in_step(); shows what the connection was not given
  return source_->segment->page().in_step.load(std::memory_order_acquire) != spec_.epoch;
}

// A copy, as from the connection: views of sockets keep no mapping of the peer.
SocketEndpoint::Taken SocketEndpoint::take_from_window(Incoming& incoming) {
  LaneConsumer ahead = source_->lane;
  LaneConsumer::Record record;
  switch (ahead.poll(record)) {
    case LaneConsumer::Found::record: break;
    case LaneConsumer::Found::nothing: source_->catching_up = false; return Taken::nothing;
    case LaneConsumer::Found::violation:
      return spoil(make_error(Errc::protocol_violation, ahead.complaint()));
  }
  if (record.bytes.size() > spec_.options.max_message) {
    return spoil(
        make_error(Errc::protocol_violation, "a record of " + std::to_string(record.bytes.size()) +
                                                 " bytes on a channel whose max_message is " +
                                                 std::to_string(spec_.options.max_message)));
  }
  incoming.buffer = pool_.take(record.bytes.size());
  if (!incoming.buffer.memory) return Taken::no_memory;
  std::memcpy(incoming.buffer.memory.get(), record.bytes.data(), record.bytes.size());
  incoming.bytes = record.bytes.size();
  incoming.index = record.index;
  incoming.end = record.end;
  incoming.epoch = source_->epoch;
  source_->lane = ahead;
  last_index_ = record.index;
  return Taken::message;
}

// Quiet, and the peer is gone: over, unless its last bytes may still be on their way.
bool SocketEndpoint::is_drained() noexcept {
  if (!in_->settled_at) in_->settled_at = Deadline::in(in_->wire->settle_time());
  return in_->settled_at->expired();
}

// A peer that may come again closes the link by its goodbye until a newer connection opens it again;
// its silence says nothing.
void SocketEndpoint::end_connection(bool said_goodbye) noexcept {
  // relaxed: as in tell_cut()
  if (!said_goodbye) cut_.store(in_->peer_epoch, std::memory_order_relaxed);
  in_.reset();
  connection_over_ = true;
  said_goodbye_ = said_goodbye;
  if (!said_goodbye) return;
  const std::lock_guard links(links_);
  if (newest_epoch_ != source_->epoch || !arrived_.empty()) return;
  peer_closed_ = true;
  // sync socket.version: release; pairs with adopt_newest(); publishes nothing but the news itself
  version_.fetch_add(1, std::memory_order_release);
}

// Its last good message was delivered; nothing after the fault can be trusted.
SocketEndpoint::Taken SocketEndpoint::spoil(const Error& fault) {
  violate();
  violation_ = fail(Errc::protocol_violation, fault.context.c_str());
  complaint_due_ = true;
  source_->spoiled = true;
  in_.reset();
  {
    const std::lock_guard links(links_);
    if (newest_ && newest_->peer_epoch == source_->epoch) newest_.reset();
    // sync socket.version: release; pairs with adopt_newest(); the sender lets go of it too
    version_.fetch_add(1, std::memory_order_release);
  }
  ring_bells();
  if (is_single()) {
    // sync socket.verdict: release; pairs with both threads' checks; publishes nothing but the word
    verdict_.store(Verdict::violated, std::memory_order_release);
  }
  return Taken::violated;
}

// The source has no more: the end for good, or the time until there is more. `closed` and `died` were known
// before it was looked at; what the look itself has found was the last that the peer did.
SocketEndpoint::Taken SocketEndpoint::over_or_nothing(bool closed, bool died) {
  if (view_.refused) {
    violation_ = fail(Errc::protocol_violation, view_.refused->context.c_str());
    return Taken::violated;
  }
  if (in_ && source_ && !source_->segment) return Taken::nothing;
  closed = closed || said_goodbye_ || (connection_over_ && is_single() && writer_.has_closed());
  if (!is_single()) return closed ? Taken::over : Taken::nothing;
  if (!closed && !died && !connection_over_) return Taken::nothing;
  // sync socket.verdict: release; pairs with both threads' checks; publishes nothing but the word
  verdict_.store(closed ? Verdict::closed : Verdict::died, std::memory_order_release);
  return Taken::over;
}

}  // namespace bulkhead::ipc
