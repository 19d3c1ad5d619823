// Memory to write a message into where its receiver will read it.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace bulkhead {
namespace ipc {
class Endpoint;
}

// Purpose: a message without a copy. On shared memory its bytes are a block of the sender's own segment,
//   which the receiver's Message shows; on sockets and pipes they are copied once, on their way out.
// Shape: the bytes are aligned to 64 and not initialised; what an earlier message left may be in them.
// Threads: of the channel's sending thread, its end included. Several may be out; they may be committed
//   in any order, which is the order in which they arrive.
// Ownership: keeps its channel's endpoint alive. Left uncommitted it was never sent.
// After a crash before the commit: there was no message. After it: as for Channel::send.
class Loan {
 public:
  Loan(std::shared_ptr<ipc::Endpoint>, std::span<std::byte> bytes, std::uint64_t token) noexcept;
  Loan(Loan&&) noexcept;
  Loan& operator=(Loan&&) noexcept;
  ~Loan();

  std::span<std::byte> bytes() const noexcept { return bytes_; }
  // Fewer bytes than were asked for are going to be sent. More are not possible.
  void shrink(std::size_t bytes) noexcept;

  // Sends it: success means committed, and bytes() is empty from then on. Blocking, errors: as
  // Channel::send. After an error it is still on loan and may be tried again.
  [[nodiscard]] Result<void> commit(Deadline = Deadline::never());

 private:
  void abandon() noexcept;

  std::shared_ptr<ipc::Endpoint> endpoint_;  // null once it was committed or moved from
  std::span<std::byte> bytes_;
  std::uint64_t token_ = 0;  // the endpoint's own name for it
};

}  // namespace bulkhead
