// Memory that is written once, sealed, and from then on read by any number of processes.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace bulkhead {
namespace ipc {
class SealedMemory;
struct DraftMemory;
}  // namespace ipc

// Purpose: bytes that nobody can change any more, whoever made them: a reader may check them once and
//   believe them from then on, unlike a Message, whose sender can still write to it.
// Shape: begins at a page; mapped once for all copies of this object.
// Threads: any. Ownership: copies share one mapping, which lasts as long as the last of them; a
//   forked child inherits it.
// After a crash of who made it: nothing changes for those who have it. Worker::publish() lets the
//   supervisor keep it for those who do not.
class SealedBuffer {
 public:
  explicit SealedBuffer(std::shared_ptr<const ipc::SealedMemory>) noexcept;

  // Errors: invalid_argument for no bytes at all; what the system reports.
  [[nodiscard]] static Result<SealedBuffer> copy_of(std::string_view name,
                                                    std::span<const std::byte> bytes);
  // From a descriptor that came over a socket or a fork; it stays the caller's.
  // Errors: protocol_violation for memory that somebody could still change, or of no size.
  [[nodiscard]] static Result<SealedBuffer> open(int fd);

  std::span<const std::byte> bytes() const noexcept;  // empty, and no descriptor, once moved from
  int fd() const noexcept;  // borrowed: to be sent over a socket of your own

 private:
  std::shared_ptr<const ipc::SealedMemory> memory_;
};

// Purpose: memory to write a SealedBuffer into, without a copy.
// Threads: one at a time. Ownership: the memory is private to this process, and gone with the object unless
//   it was sealed. After a crash before seal() returned: there is no buffer.
class SealedDraft {
 public:
  // Zeroed; pages that are never touched cost nothing. `name` shows in /proc/PID/maps.
  // Errors: invalid_argument for no bytes at all; what the system reports.
  [[nodiscard]] static Result<SealedDraft> create(std::string_view name, std::size_t bytes);
  SealedDraft(SealedDraft&&) noexcept;
  SealedDraft& operator=(SealedDraft&&) noexcept;
  ~SealedDraft();

  std::span<std::byte> bytes() noexcept;  // empty once sealed
  // Only the first so many bytes remain. Errors: invalid_argument for none or more than there are, and the
  // draft goes on; what the system reports, or when it was sealed before, and there is no buffer.
  [[nodiscard]] Result<SealedBuffer> seal(std::size_t bytes) &&;

 private:
  explicit SealedDraft(std::unique_ptr<ipc::DraftMemory>) noexcept;
  std::unique_ptr<ipc::DraftMemory> memory_;
};

// Names a published buffer within its system. It is 16 bytes of plain data that fit into any message, over
// any transport, whereas a descriptor could ride on a unix socket alone; see Worker::publish().
struct SealedTicket {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const SealedTicket&, const SealedTicket&) = default;
};

}  // namespace bulkhead
