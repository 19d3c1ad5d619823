// The receiving half of a SocketEndpoint. Its sync tags are in the table of socket_endpoint.cpp.
#include <poll.h>

#include <cerrno>
#include <utility>

#include "ipc/socket_endpoint.hpp"

namespace bulkhead::ipc {

Result<Message> SocketEndpoint::receive(Deadline deadline) {
  return watched([&] { return receive_unwatched(deadline); });
}

Result<Message> SocketEndpoint::receive_unwatched(Deadline deadline) {
  mark_used();
  SocketSpin spin(spec_.options.wait, pace_);
  // Whoever is going to wait need not ask the kernel first where the window says that nothing was sent.
  bool glance = !deadline.expired() && spec_.options.wait != WaitMode::spin;
  for (bool unasked = false;;) {
    look_around(Way::receive);
    if (deadline.stopped()) return fail(Errc::stopped, "asked to stop");
    auto finished = try_receive(std::exchange(glance, false));
    if (finished) {
      spin.ended();
      if (unasked && *finished) counters_.receive_safety_net.add(1);
      return std::move(*finished);
    }
    if (deadline.expired()) {
      return deadline.is_now() ? make_error(Errc::would_block, {})
                               : fail(Errc::timed_out, "no message");
    }
    if (spin.goes_on()) continue;
    const auto settling = settling_until();
    const bool sooner = settling && settling->when() < deadline.when();
    unasked = wait(Way::receive, receive_plan(), sooner ? *settling : deadline);
  }
}

std::optional<Result<Message>> SocketEndpoint::try_receive(bool glance) {
  const std::lock_guard receiving(receiving_);
  // sync socket.closed: acquire; pairs with close(); nothing is taken on a closed end
  if (closed_.load(std::memory_order_acquire)) return Result<Message>(fail(Verdict::open));
  if (ledger_.has_returned()) return Result<Message>(hand_out_again());
  Incoming incoming;
  glances_ = glance;
  const auto taken = take_next(incoming);
  glances_ = false;
  switch (taken) {
    case Taken::message: return Result<Message>(hand_out(std::move(incoming)));
    case Taken::nothing: return std::nullopt;
    case Taken::no_memory:
      return Result<Message>(errno_error(ENOMEM, "receive on link '" + spec_.link + "'"));
    case Taken::violated: complaint_due_ = false; return Result<Message>(violation_);
    case Taken::over: break;
  }
  // sync socket.verdict: acquire; pairs with over_or_nothing(); nothing but the word
  const auto verdict = verdict_.load(std::memory_order_acquire);
  return Result<Message>(fail(verdict == Verdict::open ? Verdict::closed : verdict));
}

SocketEndpoint::Taken SocketEndpoint::take_next(Incoming& incoming) {
  if (!backlog_.empty()) {
    incoming = std::move(backlog_.front());
    backlog_.pop_front();
    return Taken::message;
  }
  return complaint_due_ ? Taken::violated : take(incoming);
}

std::optional<Deadline> SocketEndpoint::settling_until() const noexcept {
  const std::lock_guard receiving(receiving_);
  return in_ ? in_->settled_at : std::nullopt;
}

Message SocketEndpoint::hand_out(Incoming incoming) {
  const std::span<const std::byte> bytes{incoming.buffer.memory.get(), incoming.bytes};
  const Cursor end{incoming.epoch, incoming.end};
  const bool again = taken_before_.covers(end);
  if (again) {
    note_redelivered();  // within the predecessor's `taken`, which must not move back
  } else {
    store_taken(segment_.page(), end);
  }
  ledger_.add(bytes, end, again);
  counters_.received.add(1);
  counters_.bytes_received.add(bytes.size());
  const auto parts = part(bytes, incoming.index, incoming.index, incoming.epoch, again);
  held_.push_back(std::move(incoming));
  return Message(parts);
}

Message SocketEndpoint::hand_out_again() {
  const std::uint64_t index = ledger_.next();
  const auto& delivery = ledger_.deliver_again();
  note_redelivered();
  return Message(part(delivery.bytes, index, index, unpack(delivery.end).epoch, true));
}

void SocketEndpoint::note_redelivered() noexcept {
  counters_.redelivered.add(1);
  store_redelivered(segment_.page(), resume_.redelivered + counters_.redelivered.get());
}

void SocketEndpoint::acknowledge(std::uint64_t position) noexcept {
  const std::lock_guard receiving(receiving_);
  if (ledger_.acknowledge(position)) drop_settled();
}

void SocketEndpoint::release(std::uint64_t position) noexcept {
  {
    const std::lock_guard receiving(receiving_);
    if (ledger_.release(position)) drop_settled();
  }
  came_back();
}

// The sender sees the page when it next needs room; only one that waits for room is rung for.
void SocketEndpoint::drop_settled() noexcept {
  store_acknowledged(segment_.page(), {ledger_.cursor(), ledger_.settled()});
  while (first_held_ <= ledger_.settled()) {
    pool_.put(std::move(held_.front().buffer));
    held_.pop_front();
    ++first_held_;
  }
  if (!writer_.segment) return;
  waker_barrier(writer_.barrier);
  if (!ringer_.is_asleep(writer_.segment->page().wants_space)) return;
  // A connection that comes after this is rung by whoever brings it (post_sockets).
  refresh_receiver();
  if (writer_.segment)
    ringer_.ring_if_asleep(writer_.segment->page().wants_space, ours_ ? &ours_->bell : nullptr);
}

bool SocketEndpoint::prepare_receive_wait() {
  look_around(Way::receive);
  const std::lock_guard receiving(receiving_);
  // sync socket.closed: acquire; pairs with close(); a closed end must look
  if (closed_.load(std::memory_order_acquire)) return true;
  if (ledger_.has_returned() || !backlog_.empty()) return true;
  Incoming incoming;
  const auto taken = take_next(incoming);
  if (taken == Taken::message) backlog_.push_back(std::move(incoming));
  return taken != Taken::nothing;
}

// Before the first look there is no source yet, but there may be a connection.
WaitPlan SocketEndpoint::receive_plan() const noexcept {
  const std::lock_guard receiving(receiving_);
  if (in_) return {in_->wire->read_fd(), POLLIN};
  const std::lock_guard links(links_);
  if (source_ || arrived_.empty()) return {};
  return {arrived_.front()->wire->read_fd(), POLLIN};
}

}  // namespace bulkhead::ipc
