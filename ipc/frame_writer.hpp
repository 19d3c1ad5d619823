// Sends one message at a time over a wire that may take it only in pieces. Used by SocketEndpoint, one
// per connection; knows nothing of deadlines.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "ipc/framing.hpp"
#include "ipc/wire.hpp"

namespace bulkhead::ipc {

enum class WriteStatus {
  done,     // the kernel has the whole message
  blocked,  // try again with the same message when the wire is writable, or suspend()
  broken,   // the other end is gone
  failed,   // the system refused for another reason: see error()
};

// What a caller cannot finish in time is suspended: nothing of it is ever delivered, unless the very
// same message is tried again, which goes on where it stopped. (Without that, a try_send loop against
// a slow receiver could void every message just before its end.) Otherwise the next message comes
// first: on packets the receiver drops the pieces, on a stream the rest of the frame is filled up and
// voided by its trailer.
// Threads: the sending one.
class FrameWriter {
 public:
  WriteStatus write(Wire& wire, const FrameHeader& header, std::span<const std::byte> payload);
  void suspend(std::span<const std::byte> payload) noexcept;
  // For a message that nobody tries again: the suspended one, from the copy of it, or the void in its place.
  WriteStatus finish(Wire& wire);
  bool has_copy() const noexcept { return phase_ == Phase::suspended; }  // of the one to finish

  int error() const noexcept { return error_; }
  // What a suspended frame still takes on the wire.
  std::size_t backlog_bytes() const noexcept;

 private:
  enum class Phase { idle, active, suspended, voided };

  void settle_suspended(const Wire& wire, const FrameHeader& header,
                        std::span<const std::byte> payload) noexcept;
  WriteStatus write_packets(Wire& wire, std::span<const std::byte> payload);
  WriteStatus write_stream(Wire& wire, std::span<const std::byte> payload);
  WriteStatus fill_up(Wire& wire);
  WriteStatus refused(const IoStatus& status) noexcept;

  FrameHeader header_{};
  Phase phase_ = Phase::idle;
  std::size_t written_ = 0;  // packets: of the message; stream: of the frame, trailer included
  std::unique_ptr<std::byte[]> suspended_;  // the message to recognise when it is tried again
  int error_ = 0;
};

}  // namespace bulkhead::ipc
