// The sending half of a SocketEndpoint. Its sync tags are in the table of socket_endpoint.cpp.
#include <poll.h>

#include <string>

#include "ipc/socket_endpoint.hpp"

namespace bulkhead::ipc {

Result<void> SocketEndpoint::send(std::span<const std::byte> bytes, Deadline deadline) {
  if (bytes.size() > spec_.options.max_message) {
    return fail(Errc::message_too_big, (std::to_string(bytes.size()) + " bytes, max_message is " +
                                        std::to_string(spec_.options.max_message))
                                           .c_str());
  }
  mark_used();
  // relaxed: written by this thread alone.
  const std::uint64_t index = committed_.load(std::memory_order_relaxed) + 1;
  for (;;) {
    look_around(Way::send);
    if (deadline.stopped()) {
      suspend_send(bytes);
      return fail(Errc::stopped, "asked to stop");
    }
    if (auto finished = try_send(bytes, index)) return std::move(*finished);
    if (deadline.expired()) {
      suspend_send(bytes);
      return deadline.is_now() ? make_error(Errc::would_block, {})
                               : fail(Errc::timed_out, "full, or without a peer");
    }
    wait(Way::send, send_plan(), deadline);
  }
}

// Nothing when it must be tried again after a wait. A message that was cut off by the death of the
// peer begins anew on the next connection, because its writer is a new one.
std::optional<Result<void>> SocketEndpoint::try_send(std::span<const std::byte> bytes,
                                                     std::uint64_t index) {
  const std::lock_guard sending(sending_);
  // sync socket.closed: acquire; pairs with close(); nothing is sent on a closed end
  if (closed_.load(std::memory_order_acquire)) return Result<void>(fail(Verdict::open));
  adopt_newest();
  if (const auto verdict = verdict_for_sender(); verdict != Verdict::open) {
    return Result<void>(fail(verdict));
  }
  if (!out_) return std::nullopt;
  const auto header = make_frame_header(FrameKind::data, spec_.epoch, index,
                                        static_cast<std::uint32_t>(bytes.size()));
  switch (out_->writer.write(*out_->wire, header, bytes)) {
    case WriteStatus::done: commit(index, bytes.size()); return Result<void>();
    case WriteStatus::blocked: return std::nullopt;
    case WriteStatus::broken: break;
    case WriteStatus::failed: {
      const int error = out_->writer.error();
      out_->writer.suspend(bytes);
      return Result<void>(errno_error(error, "send on link '" + spec_.link + "'"));
    }
  }
  out_->write_broken = true;
  if (const auto verdict = verdict_for_sender(); verdict != Verdict::open) {
    return Result<void>(fail(verdict));
  }
  out_.reset();
  return std::nullopt;
}

void SocketEndpoint::adopt_newest() noexcept {
  // sync socket.version: acquire; pairs with post(); shows that there is news under the lock
  const std::uint64_t version = version_.load(std::memory_order_acquire);
  if (version == out_version_) return;
  out_version_ = version;
  const std::lock_guard links(links_);
  out_ = newest_ && !newest_->write_broken ? newest_ : nullptr;
  out_closed_ = peer_closed_;
  out_died_ = peer_died_;
}

// Committed means: the kernel has it. What a killed receiver had not read is lost, and its successor
// can tell how much.
void SocketEndpoint::commit(std::uint64_t index, std::size_t bytes) noexcept {
  store_committed(segment_.page(), {index, index});
  committed_.store(index, std::memory_order_relaxed);  // relaxed: written by this thread alone
  counters_.sent.add(1);
  counters_.bytes_sent.add(bytes);
}

// What makes sending hopeless. A peer that is not replaced may have said goodbye in bytes that the
// receiving thread has not read yet, so they are read here, into the backlog.
SocketEndpoint::Verdict SocketEndpoint::verdict_for_sender() {
  // sync socket.verdict: acquire; pairs with end_connection(); nothing but the word
  if (const auto verdict = verdict_.load(std::memory_order_acquire); verdict != Verdict::open) {
    return verdict;
  }
  if (out_closed_) return Verdict::closed;
  const bool broken = out_ && out_->write_broken;
  if (spec_.peer_life == PeerLife::replaced || !(broken || out_died_)) return Verdict::open;
  const std::lock_guard receiving(receiving_);
  Incoming incoming;
  auto taken = take_from_wire(incoming);
  for (; taken == Taken::message; taken = take_from_wire(incoming)) {
    backlog_.push_back(std::move(incoming));
  }
  if (taken == Taken::violated) complaint_due_ = true;
  // sync socket.verdict: acquire; pairs with end_connection(); nothing but the word
  const auto verdict = verdict_.load(std::memory_order_acquire);
  return verdict == Verdict::open ? Verdict::died : verdict;
}

void SocketEndpoint::suspend_send(std::span<const std::byte> bytes) noexcept {
  const std::lock_guard sending(sending_);
  if (out_) out_->writer.suspend(bytes);
}

bool SocketEndpoint::prepare_send_wait(std::size_t) {
  look_around(Way::send);
  const std::lock_guard sending(sending_);
  // sync socket.closed: acquire; pairs with close(); a closed end must look
  if (closed_.load(std::memory_order_acquire)) return true;
  adopt_newest();
  if (verdict_for_sender() != Verdict::open) return true;
  if (!out_) return false;
  pollfd look{out_->wire->write_fd(), POLLOUT, 0};
  return ::poll(&look, 1, 0) > 0;
}

WaitPlan SocketEndpoint::send_plan() const noexcept {
  const std::lock_guard sending(sending_);
  return out_ ? WaitPlan{out_->wire->write_fd(), POLLOUT} : WaitPlan{};
}

}  // namespace bulkhead::ipc
