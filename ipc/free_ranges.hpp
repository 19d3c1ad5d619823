// Which parts of an area are free: the private book-keeping of its one writer, in its own heap, so that
// nothing of it needs repair after a death. Used by the journal of a queue; knows no memory. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace bulkhead::ipc {

class FreeRanges {
 public:
  static constexpr std::uint64_t unit = 64;  // sizes are rounded up to it

  explicit FreeRanges(std::uint64_t area_bytes);

  // The lowest place where it fits, so that an area costs little more memory than it holds.
  std::optional<std::uint64_t> take(std::uint64_t bytes);
  // This very place; false when a part of it is not free, or outside.
  bool take_at(std::uint64_t offset, std::uint64_t bytes);
  void give_back(std::uint64_t offset, std::uint64_t bytes);

  std::uint64_t free_bytes() const noexcept { return free_bytes_; }

 private:
  void cut(std::map<std::uint64_t, std::uint64_t>::iterator, std::uint64_t offset,
           std::uint64_t bytes);

  std::map<std::uint64_t, std::uint64_t> ranges_;  // offset -> bytes; no two touch
  std::uint64_t free_bytes_;
};

}  // namespace bulkhead::ipc
