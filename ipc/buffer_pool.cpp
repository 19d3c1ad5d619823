#include "ipc/buffer_pool.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace bulkhead::ipc {

std::size_t BufferPool::class_of(std::size_t bytes) noexcept {
  return static_cast<std::size_t>(std::bit_width((std::max(bytes, smallest) - 1) / smallest));
}

Buffer BufferPool::take(std::size_t bytes) noexcept {
  const std::size_t wanted = class_of(bytes);
  if (wanted < classes) {
    auto& shelf = free_[wanted];
    const std::size_t capacity = smallest << wanted;
    if (!shelf.empty()) {
      Buffer buffer{std::move(shelf.back()), capacity};
      shelf.pop_back();
      kept_bytes_ -= capacity;
      return buffer;
    }
    bytes = capacity;
  }
  return {std::unique_ptr<std::byte[]>(new (std::nothrow) std::byte[bytes]), bytes};
}

void BufferPool::put(Buffer buffer) noexcept {
  if (!buffer.memory) return;
  const std::size_t fits = class_of(buffer.capacity);
  if (fits >= classes || kept_bytes_ + buffer.capacity > kept_bytes_max) return;
  auto& shelf = free_[fits];
  if (shelf.size() >= kept_per_class_max) return;
  try {
    shelf.push_back(std::move(buffer.memory));
    kept_bytes_ += buffer.capacity;
  } catch (const std::bad_alloc&) {
    // Not kept, then: the buffer went back to the system.
  }
}

}  // namespace bulkhead::ipc
