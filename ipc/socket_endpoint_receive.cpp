// The receiving half of a SocketEndpoint. Its sync tags are in the table of socket_endpoint.cpp.
#include <poll.h>

#include <cerrno>
#include <utility>

#include "ipc/socket_endpoint.hpp"

namespace bulkhead::ipc {

Result<Message> SocketEndpoint::receive(Deadline deadline) {
  mark_used();
  SocketSpin spin(spec_.options.wait, pace_);
  for (;;) {
    look_around(Way::receive);
    if (deadline.stopped()) return fail(Errc::stopped, "asked to stop");
    if (auto finished = try_receive()) {
      spin.ended();
      return std::move(*finished);
    }
    if (deadline.expired()) {
      return deadline.is_now() ? make_error(Errc::would_block, {})
                               : fail(Errc::timed_out, "no message");
    }
    if (spin.goes_on()) continue;
    const auto settling = settling_until();
    const bool sooner = settling && settling->when() < deadline.when();
    wait(Way::receive, receive_plan(), sooner ? *settling : deadline);
  }
}

std::optional<Result<Message>> SocketEndpoint::try_receive() {
  const std::lock_guard receiving(receiving_);
  // sync socket.closed: acquire; pairs with close(); nothing is taken on a closed end
  if (closed_.load(std::memory_order_acquire)) return Result<Message>(fail(Verdict::open));
  if (ledger_.has_returned()) return Result<Message>(hand_out_again());
  Incoming incoming;
  switch (take_next(incoming)) {
    case Taken::message: return Result<Message>(hand_out(std::move(incoming)));
    case Taken::nothing: return std::nullopt;
    case Taken::no_memory:
      return Result<Message>(errno_error(ENOMEM, "receive on link '" + spec_.link + "'"));
    case Taken::violated: return Result<Message>(violation_);
    case Taken::over: break;
  }
  // sync socket.verdict: acquire; pairs with end_connection(); nothing but the word
  const auto verdict = verdict_.load(std::memory_order_acquire);
  return Result<Message>(fail(verdict == Verdict::open ? Verdict::closed : verdict));
}

SocketEndpoint::Taken SocketEndpoint::take_next(Incoming& incoming) {
  if (!backlog_.empty()) {
    incoming = std::move(backlog_.front());
    backlog_.pop_front();
    return Taken::message;
  }
  if (std::exchange(complaint_due_, false)) return Taken::violated;
  return take_from_wire(incoming);
}

// Drains the connections in the order in which they came. A message that its sender did not finish
// goes with its connection.
SocketEndpoint::Taken SocketEndpoint::take_from_wire(Incoming& incoming) {
  for (;;) {
    // sync socket.verdict: acquire; pairs with end_connection(); nothing but the word
    if (verdict_.load(std::memory_order_acquire) != Verdict::open) return Taken::over;
    if (!in_ && !adopt_next_connection()) return over_or_nothing();
    // Before the read: a peer that was gone by then wrote nothing after it.
    // sync socket.gone: acquire; pairs with post(); what the peer wrote is there or on its way
    const bool gone = in_->peer_gone.load(std::memory_order_acquire);
    switch (in_->reader->next(*in_->wire, incoming)) {
      case ReadStatus::message: in_->settled_at.reset(); return Taken::message;
      case ReadStatus::nothing:
        if (!gone || !is_drained()) return Taken::nothing;
        end_connection(false);
        break;
      case ReadStatus::no_memory: return Taken::no_memory;
      case ReadStatus::closed: end_connection(true); break;
      case ReadStatus::ended: end_connection(false); break;
      case ReadStatus::violated: drop_violator(); return Taken::violated;
    }
  }
}

bool SocketEndpoint::adopt_next_connection() {
  const std::lock_guard links(links_);
  if (arrived_.empty()) return false;
  in_ = std::move(arrived_.front());
  arrived_.pop_front();
  return true;
}

// Quiet, and the peer is gone: over, unless its last bytes may still be on their way.
bool SocketEndpoint::is_drained() noexcept {
  if (!in_->settled_at) in_->settled_at = Deadline::in(in_->wire->settle_time());
  return in_->settled_at->expired();
}

std::optional<Deadline> SocketEndpoint::settling_until() const noexcept {
  const std::lock_guard receiving(receiving_);
  return in_ ? in_->settled_at : std::nullopt;
}

// A peer that may come again closes the link by its goodbye until a newer connection opens it again;
// its silence says nothing.
void SocketEndpoint::end_connection(bool said_goodbye) noexcept {
  in_.reset();
  bool closed = said_goodbye;
  {
    const std::lock_guard links(links_);
    if (!arrived_.empty()) return;
    closed = closed || peer_closed_;
    peer_closed_ = closed;
    // sync socket.version: release; pairs with adopt_newest(); publishes nothing but the news itself
    version_.fetch_add(1, std::memory_order_release);
  }
  if (spec_.peer_life == PeerLife::replaced) return;
  // sync socket.verdict: release; pairs with both threads' checks; publishes nothing but the word
  verdict_.store(closed ? Verdict::closed : Verdict::died, std::memory_order_release);
}

// Its last good message was delivered; nothing after the bad bytes can be trusted.
void SocketEndpoint::drop_violator() {
  violate();
  violation_ = Error{in_->reader->fault().code,
                     "link '" + spec_.link + "': " + in_->reader->fault().context};
  const ConnectionPtr violator = std::exchange(in_, nullptr);
  {
    const std::lock_guard links(links_);
    if (newest_ == violator) newest_.reset();
    // sync socket.version: release; pairs with adopt_newest(); the sender lets go of it too
    version_.fetch_add(1, std::memory_order_release);
  }
  ring_bells();
  if (spec_.peer_life == PeerLife::replaced) return;
  // sync socket.verdict: release; pairs with both threads' checks; publishes nothing but the word
  verdict_.store(Verdict::violated, std::memory_order_release);
}

// Without a connection: the end for good, or the time between two incarnations.
SocketEndpoint::Taken SocketEndpoint::over_or_nothing() noexcept {
  const std::lock_guard links(links_);
  if (peer_closed_) return Taken::over;
  if (spec_.peer_life == PeerLife::replaced || !peer_died_) return Taken::nothing;
  // sync socket.verdict: release; pairs with both threads' checks; publishes nothing but the word
  verdict_.store(Verdict::died, std::memory_order_release);
  return Taken::over;
}

Message SocketEndpoint::hand_out(Incoming incoming) {
  const std::uint64_t position = ledger_.limit();
  const std::span<const std::byte> bytes{incoming.buffer.memory.get(), incoming.bytes};
  const Cursor end{incoming.epoch, incoming.index + 1};
  store_taken(segment_.page(), end);
  ledger_.add(bytes, end, false);
  counters_.received.add(1);
  counters_.bytes_received.add(bytes.size());
  const MessageParts parts{bytes, position, incoming.index, incoming.epoch, false};
  held_.push_back(std::move(incoming));
  return make_message(parts);
}

Message SocketEndpoint::hand_out_again() {
  const std::uint64_t position = ledger_.next();
  const auto& delivery = ledger_.deliver_again();
  counters_.redelivered.add(1);
  store_redelivered(segment_.page(), counters_.redelivered.get());
  return make_message(
      {delivery.bytes, position, delivery.end.position - 1, delivery.end.epoch, true});
}

void SocketEndpoint::acknowledge(std::uint64_t position) noexcept {
  const std::lock_guard receiving(receiving_);
  if (ledger_.acknowledge(position)) drop_settled();
}

void SocketEndpoint::release(std::uint64_t position) noexcept {
  const std::lock_guard receiving(receiving_);
  if (ledger_.release(position)) drop_settled();
}

void SocketEndpoint::drop_settled() noexcept {
  store_acknowledged(segment_.page(), {ledger_.cursor(), acknowledged_before_ + ledger_.settled()});
  while (first_held_ <= ledger_.settled()) {
    pool_.put(std::move(held_.front().buffer));
    held_.pop_front();
    ++first_held_;
  }
}

bool SocketEndpoint::prepare_receive_wait() {
  look_around(Way::receive);
  const std::lock_guard receiving(receiving_);
  // sync socket.closed: acquire; pairs with close(); a closed end must look
  if (closed_.load(std::memory_order_acquire)) return true;
  if (ledger_.has_returned() || !backlog_.empty()) return true;
  Incoming incoming;
  switch (take_from_wire(incoming)) {
    case Taken::message: backlog_.push_back(std::move(incoming)); return true;
    case Taken::nothing: return false;
    case Taken::violated: complaint_due_ = true; return true;
    case Taken::no_memory:
    case Taken::over: break;
  }
  return true;
}

WaitPlan SocketEndpoint::receive_plan() const noexcept {
  const std::lock_guard receiving(receiving_);
  if (in_) return {in_->wire->read_fd(), POLLIN};
  const std::lock_guard links(links_);
  if (arrived_.empty()) return {};
  return {arrived_.front()->wire->read_fd(), POLLIN};
}

}  // namespace bulkhead::ipc
