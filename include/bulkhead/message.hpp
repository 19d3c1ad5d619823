// A received message: a move-only view of bytes that stay valid until it is let go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace bulkhead {
namespace ipc {
class Endpoint;
struct MessageParts;
}  // namespace ipc

// Purpose: hands out what a channel received, and acknowledges it when the receiver lets go.
// Ownership: keeps its channel's endpoint alive, so that a view outlives the Channel. Messages of
//   one channel are let go by the thread that receives from it.
// Acknowledging: destroyed normally, or by acknowledge(), it acknowledges itself and all before it;
//   destroyed while an exception unwinds, it is released instead and comes again.
// After a crash of the receiver: what was not acknowledged comes again to its successor, with
//   redelivered() true for what the predecessor had taken.
class Message {
 public:
  explicit Message(const ipc::MessageParts&) noexcept;  // for transports
  Message(Message&& other) noexcept
      : endpoint_(std::exchange(other.endpoint_, nullptr)),
        bytes_(std::exchange(other.bytes_, {})),
        position_(other.position_),
        index_(other.index_),
        uncaught_(other.uncaught_),
        epoch_(other.epoch_),
        redelivered_(other.redelivered_) {}
  Message& operator=(Message&&) noexcept;
  ~Message() {
    if (endpoint_ != nullptr) settle();
  }

  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  // For peers that are not trusted: they can still write to what bytes() shows.
  std::vector<std::byte> copy() const { return {bytes_.begin(), bytes_.end()}; }

  // The sender's number of this message: 1 for the first message of the link, without holes.
  // Zero where the transport does not carry one.
  std::uint64_t index() const noexcept { return index_; }
  // The sender's incarnation.
  std::uint16_t epoch() const noexcept { return epoch_; }
  bool redelivered() const noexcept { return redelivered_; }

  void acknowledge() noexcept;
  // Lets go of it undone: it comes again, to this receiver or to its successor, with redelivered().
  void release() noexcept;

 private:
  void settle() noexcept;

  ipc::Endpoint* endpoint_ = nullptr;  // counts us among its views; null once settled
  std::span<const std::byte> bytes_;
  std::uint64_t position_ = 0;  // the endpoint's own name for it
  std::uint64_t index_ = 0;
  int uncaught_ = 0;  // std::uncaught_exceptions() when it was received
  std::uint16_t epoch_ = 0;
  bool redelivered_ = false;
};

}  // namespace bulkhead
