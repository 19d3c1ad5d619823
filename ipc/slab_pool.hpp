// Which blocks of our own slab area are lent out: the private book-keeping of a producer, in its own heap.
// Used by the shared-memory endpoint's sender; knows no lane, no peer and no page. One thread.
//
// Blocks are powers of two, cut from larger ones (Knowlton's buddy system, CACM 8(10), 1965). The block
// that came back last goes out first, because it is still in somebody's cache; so neighbours are joined
// again only when a larger block is wanted and there is none. Memory is had from the kernel the
// first time that a block reaches into it, in chunks from the bottom up: an area costs what it has
// used, never what it may use.
#pragma once

#include <array>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace bulkhead::ipc {

inline constexpr std::size_t slab_bytes_min = 1024;

struct Slab {
  std::uint64_t offset = 0;  // in the area
  std::uint64_t bytes = 0;   // a power of two
};

class SlabPool {
 public:
  // Has the memory of [offset, offset + bytes) allocated, so that writing to it cannot fail any more.
  using Grow = std::function<Result<void>(std::uint64_t offset, std::uint64_t bytes)>;

  // `area_bytes`: a power of two, or 0 for a pool that has nothing.
  SlabPool(std::size_t area_bytes, Grow grow);

  // Errors: would_block while every block that would do is lent out; out_of_budget when the area can
  // never hold it, or the kernel has no memory for more of the area.
  Result<Slab> take(std::size_t bytes);
  void give_back(Slab) noexcept;

  // Whether take() would succeed without more memory than four such blocks need: then it is too early
  // to ask the peer for what it is done with, which costs a transfer of a cache line.
  bool has_at_hand(std::size_t bytes) const noexcept;
  // The block that take() would give next, if it lies ready.
  std::optional<std::uint64_t> next_offset(std::uint64_t slab_bytes) const noexcept {
    const auto& blocks = free_[order_of(slab_bytes)];
    return blocks.empty() ? std::nullopt : std::optional(blocks.back());
  }

  std::uint64_t lent_bytes() const noexcept { return lent_; }
  std::uint64_t grown_bytes() const noexcept { return grown_; }  // what the area costs so far

 private:
  static constexpr std::size_t orders = 41;  // of blocks: 1 KiB to 1 PiB

  static std::size_t order_of(std::uint64_t bytes) noexcept;
  bool cut(std::size_t order);
  void join_neighbours();
  Result<void> grow_to(std::uint64_t end);

  const std::uint64_t area_;
  const Grow grow_;
  std::array<std::vector<std::uint64_t>, orders> free_;  // offsets, the last one goes out first
  std::uint64_t lent_ = 0, grown_ = 0;
};

}  // namespace bulkhead::ipc
