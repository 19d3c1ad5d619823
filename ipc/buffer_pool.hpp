// Buffers for received messages, kept for reuse so that a steady stream of messages allocates nothing.
// Used by the frame readers and SocketEndpoint; private memory of this process.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace bulkhead::ipc {

struct Buffer {
  std::unique_ptr<std::byte[]> memory;
  std::size_t capacity = 0;
};

// Threads: one at a time (its endpoint's lock).
class BufferPool {
 public:
  // At least `bytes` long, contents undefined; null memory when the system has none to give.
  Buffer take(std::size_t bytes) noexcept;
  void put(Buffer buffer) noexcept;

 private:
  // Powers of two from 64 bytes; what is larger than the last class is not kept.
  static constexpr std::size_t smallest = 64;
  static constexpr std::size_t classes = 15;
  static constexpr std::size_t kept_bytes_max = std::size_t{4} << 20;
  static constexpr std::size_t kept_per_class_max = 64;

  static std::size_t class_of(std::size_t bytes) noexcept;

  std::array<std::vector<std::unique_ptr<std::byte[]>>, classes> free_;
  std::size_t kept_bytes_ = 0;
};

}  // namespace bulkhead::ipc
