// A ring and an end page in ordinary memory, so that both ends of a lane work on the same addresses: by
// hand in state tests, and under the thread sanitizer, which sees races only there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include "ipc/lane_record.hpp"
#include "ipc/segment_layout.hpp"

namespace bulkhead::test {

class PlainLane {
 public:
  explicit PlainLane(std::size_t capacity)
      : ring_(static_cast<std::byte*>(::operator new(capacity, alignment))), capacity_(capacity) {
    for (std::size_t at = 0; at < capacity; ++at) ring_.get()[at] = std::byte{0};
  }

  std::span<std::byte> ring() const noexcept { return {ring_.get(), capacity_}; }
  ipc::EndPage& page() noexcept { return page_; }
  std::atomic<std::uint64_t>& head(std::uint64_t offset) noexcept {
    return ipc::record_head(ring_.get(), offset);
  }

 private:
  static constexpr std::align_val_t alignment{4096};
  struct Release {
    void operator()(std::byte* memory) const noexcept { ::operator delete(memory, alignment); }
  };
  std::unique_ptr<std::byte, Release> ring_;
  std::size_t capacity_;
  ipc::EndPage page_{};
};

}  // namespace bulkhead::test
