// The receiving half of a SocketEndpoint. Its sync tags are in the table of socket_endpoint.cpp.
#include <poll.h>

#include <cerrno>
#include <utility>

#include "ipc/socket_endpoint.hpp"

namespace bulkhead::ipc {

Result<Message> SocketEndpoint::receive(Deadline deadline) {
  mark_used();
  bool spinning = false, slept = false;
  for (;;) {
    look_around(Way::receive);
    if (deadline.stopped()) return fail(Errc::stopped, "asked to stop");
    if (auto finished = try_receive()) {
      if (spinning && !slept) spin_.paid();
      return std::move(*finished);
    }
    if (deadline.expired()) {
      return deadline.is_now() ? fail(Errc::would_block, "empty") : fail(Errc::timed_out, "empty");
    }
    if (!std::exchange(spinning, true)) spin_.begin();
    if (!slept && spin_.goes_on()) continue;
    if (!std::exchange(slept, true)) spin_.was_vain();
    const auto settling = settling_until();
    const bool sooner = settling && settling->when() < deadline.when();
    wait(Way::receive, receive_plan(), sooner ? *settling : deadline);
  }
}

std::optional<Result<Message>> SocketEndpoint::try_receive() {
  const std::lock_guard receiving(receiving_);
  // sync socket.closed: acquire; pairs with close(); nothing is taken on a closed end
  if (closed_.load(std::memory_order_acquire)) return Result<Message>(fail(Verdict::open));
  if (again_ > 0) return Result<Message>(hand_out_again());
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
  const std::uint64_t position = first_held_ + held_.size();
  store_taken(segment_.page(), {incoming.epoch, incoming.index + 1});
  counters_.received.fetch_add(1, std::memory_order_relaxed);  // relaxed: a counter
  counters_.bytes_received.fetch_add(incoming.bytes, std::memory_order_relaxed);  // relaxed: ditto
  const MessageParts parts{{incoming.buffer.memory.get(), incoming.bytes},
                           position,
                           incoming.index,
                           incoming.epoch,
                           false};
  held_.push_back({std::move(incoming), false, false});
  return make_message(parts);
}

Message SocketEndpoint::hand_out_again() {
  std::size_t i = 0;
  while (!held_[i].again) ++i;
  held_[i].again = false;
  --again_;
  // relaxed: counters.
  const auto redelivered = counters_.redelivered.fetch_add(1, std::memory_order_relaxed) + 1;
  store_redelivered(segment_.page(), redelivered);
  const Incoming& incoming = held_[i].incoming;
  return make_message({{incoming.buffer.memory.get(), incoming.bytes},
                       first_held_ + i,
                       incoming.index,
                       incoming.epoch,
                       true});
}

void SocketEndpoint::acknowledge(std::uint64_t position) noexcept {
  const std::lock_guard receiving(receiving_);
  Held& held = held_[position - first_held_];
  held.settled = true;
  if (position > acked_position_) {
    acked_count_ += position - std::exchange(acked_position_, position);
    const Incoming& incoming = held.incoming;
    store_acknowledged(segment_.page(), {{incoming.epoch, incoming.index + 1}, acked_count_});
  }
  pool_.put(std::move(held.incoming.buffer));
  forget_settled();
}

void SocketEndpoint::release(std::uint64_t position) noexcept {
  const std::lock_guard receiving(receiving_);
  Held& held = held_[position - first_held_];
  if (position <= acked_position_) {
    held.settled = true;  // a later one was acknowledged, and with it this one
    forget_settled();
    return;
  }
  held.again = true;
  ++again_;
}

// Drops what nobody holds any more: settled messages, and released ones that a later
// acknowledgement covered.
void SocketEndpoint::forget_settled() noexcept {
  while (!held_.empty()) {
    Held& first = held_.front();
    if (first.again && first_held_ <= acked_position_) {
      first.again = false;
      first.settled = true;
      --again_;
    }
    if (!first.settled) return;
    pool_.put(std::move(first.incoming.buffer));
    held_.pop_front();
    ++first_held_;
  }
}

bool SocketEndpoint::prepare_receive_wait() {
  look_around(Way::receive);
  const std::lock_guard receiving(receiving_);
  // sync socket.closed: acquire; pairs with close(); a closed end must look
  if (closed_.load(std::memory_order_acquire)) return true;
  if (again_ > 0 || !backlog_.empty()) return true;
  // sync socket.verdict: acquire; pairs with end_connection(); nothing but the word
  if (verdict_.load(std::memory_order_acquire) != Verdict::open) return true;
  if (!in_ && !adopt_next_connection()) return over_or_nothing() == Taken::over;
  // sync socket.gone: acquire; pairs with post(); the end of the connection must be looked for
  return in_->reader->has_message() || in_->peer_gone.load(std::memory_order_acquire);
}

WaitPlan SocketEndpoint::receive_plan() const noexcept {
  const std::lock_guard receiving(receiving_);
  if (in_) return {in_->wire->read_fd(), POLLIN};
  const std::lock_guard links(links_);
  if (arrived_.empty()) return {};
  return {arrived_.front()->wire->read_fd(), POLLIN};
}

}  // namespace bulkhead::ipc
