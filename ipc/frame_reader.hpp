// Puts messages together again from what a wire gives. Used by SocketEndpoint, one per connection;
// knows nothing of deadlines, and trusts nothing that it reads.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "ipc/buffer_pool.hpp"
#include "ipc/framing.hpp"
#include "ipc/wire.hpp"

namespace bulkhead::ipc {

struct Incoming {
  Buffer buffer;
  std::size_t bytes = 0;
  std::uint64_t index = 0;
  std::uint64_t end =
      0;  // the position after it in its sender's window; who checks that fills it in
  std::uint16_t epoch = 0;
};

enum class ReadStatus {
  message,
  nothing,    // the wire has no more for now
  closed,     // the sender said goodbye
  ended,      // the connection is at its end; an unfinished message is void
  violated,   // the sender broke the rules: see fault()
  no_memory,  // nothing was taken; may be tried again
};

class FrameReader {
 public:
  FrameReader(FrameExpectation expected, BufferPool& pool) noexcept
      : expected_(expected), pool_(pool) {}
  virtual ~FrameReader() = default;

  // Never blocks. Fills `message` when it returns ReadStatus::message.
  virtual ReadStatus next(Wire& wire, Incoming& message) = 0;
  // Whether next() has a whole message without reading.
  virtual bool has_message() const noexcept = 0;

  const Error& fault() const noexcept { return fault_; }

 protected:
  // What the wire said, when it gave no bytes. ECONNRESET may come before queued data, so it is the
  // end only when it comes again: after the first one reading goes on.
  std::optional<ReadStatus> without_bytes(const IoStatus& status) noexcept;
  ReadStatus violated(Error fault);

  FrameExpectation expected_;
  BufferPool& pool_;

 private:
  Error fault_;
  bool reset_seen_ = false;
};

[[nodiscard]] std::unique_ptr<FrameReader> make_frame_reader(const Wire& wire,
                                                             FrameExpectation expected,
                                                             BufferPool& pool);

}  // namespace bulkhead::ipc
