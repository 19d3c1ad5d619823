// The sending half of a SocketEndpoint: into the window, then as much of the window into the connection as the
// kernel takes. Its sync tags are in the table of socket_endpoint.cpp.
#include <poll.h>

#include <string>

#include "ipc/epoch.hpp"
#include "ipc/socket_endpoint.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::ipc {

Result<void> SocketEndpoint::send(std::span<const std::byte> bytes, Deadline deadline) {
  return send_batch({&bytes, 1}, deadline);
}

Result<void> SocketEndpoint::send_batch(MessageBatch messages, Deadline deadline) {
  if (messages.empty()) return {};
  if (auto fits = check_batch(spec_, messages, segment_.facts().ring_capacity); !fits) return fits;
  mark_used();
  for (bool unasked = false;;) {
    look_around(Way::send);
    if (deadline.stopped()) {
      suspend_send(messages.front());
      return fail(Errc::stopped, "asked to stop");
    }
    if (auto finished = try_send(messages, !deadline.expired())) {
      if (unasked && *finished) counters_.send_safety_net.add(1);
      return std::move(*finished);
    }
    if (deadline.expired()) {
      finish_send_wait();
      suspend_send(messages.front());
      return deadline.is_now() ? make_error(Errc::would_block, {})
                               : fail(Errc::timed_out, "full, or without a peer");
    }
    unasked = wait(Way::send, send_plan(), deadline);
    finish_send_wait();
  }
}

// What was committed before goes first, so that at most one message waits in the window for the kernel while
// the peer lives, and the kernel's buffer holds a sender back as the window does.
SocketEndpoint::Attempt SocketEndpoint::try_send(MessageBatch messages, bool may_wait) {
  const std::lock_guard sending(sending_);
  lacking_ = Lacking::nothing;
  adopt_newest();
  if (auto end = hopeless()) return end;
  if (out_ && out_->bare) {
    if (messages.size() == 1) return send_bare(messages.front());
    return Result<void>(fail(Errc::unsupported, "the peer shares no memory; send one by one"));
  }
  switch (pump()) {
    case Pumped::all: break;
    case Pumped::blocked: lacking_ = Lacking::kernel; return std::nullopt;
    case Pumped::failed: {
      const int error = out_->writer.error();
      return Result<void>(errno_error(error, "send on link '" + spec_.link + "'"));
    }
  }
  if (!out_) {  // it broke just now, or there is none
    if (auto end = hopeless()) return end;
    lacking_ = Lacking::peer;
    if (is_single() && !reader_.segment) return std::nullopt;
  }
  if (!push(messages, may_wait)) {
    if (auto end = hopeless()) return end;
    lacking_ = Lacking::space;
    return std::nullopt;
  }
  count_sent(messages);
  // Committed, whatever becomes of the copy: the receiver reads the window where the kernel refuses.
  static_cast<void>(pump());
  return Result<void>();
}

// Why it is no use to send, if it is none.
SocketEndpoint::Attempt SocketEndpoint::hopeless() {
  // sync socket.closed: acquire; pairs with close(); nothing is sent on a closed end
  if (closed_.load(std::memory_order_acquire)) return Result<void>(fail(Verdict::open));
  if (const auto verdict = verdict_for_sender(); verdict != Verdict::open) {
    return Result<void>(fail(verdict));
  }
  if (refused_) return Result<void>(fail(Errc::protocol_violation, refused_->context.c_str()));
  if (violated_) {
    return Result<void>(
        fail(Errc::protocol_violation, "the peer acknowledged what it cannot have received"));
  }
  return std::nullopt;
}

bool SocketEndpoint::push(MessageBatch messages, bool may_wait) {
  const auto pushed = [&] {
    return messages.size() == 1 ? window_.push(messages.front()) : window_.push_batch(messages);
  };
  if (pushed()) return true;
  reclaim();
  if (!violated_ && pushed()) return true;
  if (out_ && out_->wire->hung_up()) drop_broken();
  if (!may_wait || violated_) return false;
  arm_for_space();
  reclaim();
  if (violated_ || !pushed()) return false;
  disarm();
  return true;
}

// Without pages nothing is acknowledged and nobody reads a window: a message is sent when the kernel has the
// whole of it.
SocketEndpoint::Attempt SocketEndpoint::send_bare(std::span<const std::byte> bytes) {
  // relaxed: written under the lock that we hold.
  const std::uint64_t index = committed_.load(std::memory_order_relaxed) + 1;
  const auto header = make_frame_header(FrameKind::data, spec_.epoch, index,
                                        static_cast<std::uint32_t>(bytes.size()));
  switch (out_->writer.write(*out_->wire, header, bytes)) {
    case WriteStatus::done: count_sent({&bytes, 1}); return Result<void>();
    case WriteStatus::blocked: lacking_ = Lacking::kernel; return std::nullopt;
    case WriteStatus::broken: break;
    case WriteStatus::failed: {
      const int error = out_->writer.error();
      out_->writer.suspend(bytes);
      return Result<void>(errno_error(error, "send on link '" + spec_.link + "'"));
    }
  }
  drop_broken();
  if (auto end = hopeless()) return end;
  return std::nullopt;
}

// Copies what the connection was not given yet. `all` without a connection too: the next one begins with
// everything that is not acknowledged.
//
// A receiver whose connection is quiet sleeps while our page says that it is in step. So the page is set
// back before the last try: the buffer that refuses us then is one that the receiver is yet to empty, and
// after that it sees the page and reads the window.
SocketEndpoint::Pumped SocketEndpoint::pump() {
  if (!out_) return Pumped::all;
  while (const auto record = window_.next_unsent()) {
    const auto header = make_frame_header(FrameKind::data, spec_.epoch, record->index,
                                          static_cast<std::uint32_t>(record->bytes.size()));
    switch (out_->writer.write(*out_->wire, header, record->bytes)) {
      case WriteStatus::done: window_.mark_sent(); break;
      case WriteStatus::blocked:
        if (in_step_ == 0) return Pumped::blocked;
        set_in_step(0);
        break;
      case WriteStatus::broken: drop_broken(); return Pumped::all;
      case WriteStatus::failed: set_in_step(0); return Pumped::failed;
    }
  }
  set_in_step(out_->peer_epoch);
  return Pumped::all;
}

// A new connection is given what it must carry by whoever brings it.
void SocketEndpoint::pump_news() {
  const std::lock_guard sending(sending_);
  // sync socket.closed: acquire; pairs with close(); nothing is sent on a closed end
  if (closed_.load(std::memory_order_acquire)) return;
  adopt_newest();
  if (out_ && !out_->bare) static_cast<void>(pump());
}

// Its incarnation has taken over what its predecessor acknowledged; everything after that is sent again.
void SocketEndpoint::adopt_newest() {
  // sync socket.version: acquire; pairs with post(); shows that there is news under the lock
  const std::uint64_t version = version_.load(std::memory_order_acquire);
  if (version == out_version_) return;
  out_version_ = version;
  const PeerView view = roster_.view();
  const auto before = reader_.segment;
  reader_.adopt(view, segment_);
  if (reader_.segment != before) violated_ = false;
  refused_ = view.refused;
  ConnectionPtr next;
  {
    const std::lock_guard links(links_);
    const bool lives = newest_ && !newest_->write_broken && newest_->peer_epoch == newest_epoch_ &&
                       !(peer_died_ && !is_single());
    if (lives) next = newest_;
    out_closed_ = peer_closed_;
    out_died_ = peer_died_;
  }
  if (next == out_) return;
  set_in_step(0);
  out_ = std::move(next);
  if (out_) out_broken_ = false;
  if (!out_ || out_->bare) return;
  reclaim();
  window_.rewind();
}

// Whether the page may say that the connection brings everything. On the way back a fence: the try to write
// that follows must not come first.
void SocketEndpoint::set_in_step(std::uint16_t epoch) noexcept {
  if (in_step_ == epoch) return;
  in_step_ = epoch;
  // sync socket.in_step: release; pairs with reads_window(); the connection was given what lies before
  segment_.page().in_step.store(epoch, std::memory_order_release);
  // sync socket.in_step: seq_cst fence; pairs with reads_window(); before the next try to write
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

// Nobody is at the other end of the connection any more.
void SocketEndpoint::drop_broken() noexcept {
  set_in_step(0);
  cut_.store(out_->peer_epoch, std::memory_order_relaxed);  // relaxed: as in tell_cut()
  out_->write_broken = true;
  out_.reset();
  out_broken_ = true;
}

// The peer's words are checked, never believed.
void SocketEndpoint::reclaim() noexcept {
  if (!reader_.segment || violated_) return;
  const auto acknowledged = load_acknowledged(reader_.segment->page());
  if (!acknowledged) return;
  const std::uint16_t epoch = acknowledged->cursor.epoch;
  if (epoch == spec_.epoch) {
    if (window_.reclaim(acknowledged->cursor.position)) return;
  } else if (!is_newer(epoch, spec_.epoch) && window_.is_untouched()) {
    return;  // still busy with what our predecessors committed
  }
  violated_ = true;
  violate();
}

void SocketEndpoint::arm_for_space() noexcept {
  armed_ = true;
  // relaxed: the barrier right after it orders it before our last look.
  segment_.page().wants_space.store(arming(++arm_sequence_, Sleep::on_doorbell),
                                    std::memory_order_relaxed);
  sleeper_barrier(reader_.barrier);
}

void SocketEndpoint::disarm() noexcept {
  if (!armed_) return;
  armed_ = false;
  segment_.page().wants_space.store(
      0, std::memory_order_relaxed);  // relaxed: seen late it costs the peer a ring for nobody
  if (!out_ || out_->bell_over || !out_->bell.is_open()) return;
  out_->bell_over = !Doorbells::drain(out_->bell);
  // relaxed: as in tell_cut()
  if (out_->bell_over) cut_.store(out_->peer_epoch, std::memory_order_relaxed);
}

void SocketEndpoint::count_sent(MessageBatch messages) noexcept {
  // relaxed: written under the sending lock alone.
  committed_.fetch_add(messages.size(), std::memory_order_relaxed);
  counters_.sent.add(messages.size());
  counters_.bytes_sent.add(payload_bytes(messages));
}

// What makes sending hopeless. A peer without a page that is not replaced may have said goodbye in bytes that
// the receiving thread has not read yet, so they are read here, into the backlog.
SocketEndpoint::Verdict SocketEndpoint::verdict_for_sender() {
  // sync socket.verdict: acquire; pairs with over_or_nothing(); nothing but the word
  if (const auto verdict = verdict_.load(std::memory_order_acquire); verdict != Verdict::open) {
    return verdict;
  }
  if (out_closed_ || (is_single() && reader_.has_closed())) return Verdict::closed;
  if (!is_single() || !(out_broken_ || out_died_)) return Verdict::open;
  const std::lock_guard receiving(receiving_);
  Incoming incoming;
  auto taken = take(incoming);
  for (; taken == Taken::message; taken = take(incoming)) backlog_.push_back(std::move(incoming));
  // sync socket.verdict: acquire; pairs with over_or_nothing(); nothing but the word
  const auto verdict = verdict_.load(std::memory_order_acquire);
  if (verdict != Verdict::open) return verdict;
  return reader_.has_closed() ? Verdict::closed : Verdict::died;
}

void SocketEndpoint::suspend_send(std::span<const std::byte> bytes) noexcept {
  const std::lock_guard sending(sending_);
  if (out_ && out_->bare) out_->writer.suspend(bytes);
}

bool SocketEndpoint::prepare_send_wait(std::size_t bytes) {
  look_around(Way::send);
  const std::lock_guard sending(sending_);
  adopt_newest();
  lacking_ = Lacking::nothing;
  if (hopeless() || bytes > spec_.options.max_message) return true;
  if (out_ && out_->bare) {
    lacking_ = Lacking::kernel;
    pollfd look{out_->wire->write_fd(), POLLOUT, 0};
    return ::poll(&look, 1, 0) > 0;
  }
  if (const auto pumped = pump(); pumped != Pumped::all) {
    lacking_ = Lacking::kernel;
    return pumped == Pumped::failed;
  }
  if (hopeless()) return true;
  if (!out_ && is_single() && !reader_.segment) return false;
  if (window_.has_room(bytes)) return true;
  lacking_ = Lacking::space;
  if (out_ && out_->wire->hung_up()) drop_broken();
  arm_for_space();
  reclaim();
  if (!violated_ && !window_.has_room(bytes)) return hopeless().has_value();
  disarm();
  return true;
}

void SocketEndpoint::finish_send_wait() noexcept {
  const std::lock_guard sending(sending_);
  disarm();
}

WaitPlan SocketEndpoint::send_plan() const noexcept {
  const std::lock_guard sending(sending_);
  if (!out_) return {};
  if (lacking_ == Lacking::kernel) return {out_->wire->write_fd(), POLLOUT};
  if (lacking_ == Lacking::space && !out_->bell_over) return {out_->bell.get(), POLLIN};
  return {};
}

}  // namespace bulkhead::ipc
