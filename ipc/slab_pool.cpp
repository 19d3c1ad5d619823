#include "ipc/slab_pool.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace bulkhead::ipc {
namespace {

constexpr std::uint64_t growth_bytes = std::uint64_t{256} << 10;

}  // namespace

SlabPool::SlabPool(std::size_t area_bytes, Grow grow) : area_(area_bytes), grow_(std::move(grow)) {
  BULKHEAD_ASSERT(area_ == 0 || (std::has_single_bit(area_) && area_ >= slab_bytes_min));
  if (area_ != 0) free_[order_of(area_)].push_back(0);
}

std::size_t SlabPool::order_of(std::uint64_t bytes) noexcept {
  return static_cast<std::size_t>(std::countr_zero(
      std::bit_ceil(std::max<std::uint64_t>(bytes, slab_bytes_min)) / slab_bytes_min));
}

Result<Slab> SlabPool::take(std::size_t bytes) {
  if (bytes > area_) {
    return make_error(Errc::out_of_budget,
                      std::to_string(bytes) + " bytes, the area has " + std::to_string(area_));
  }
  const std::size_t order = order_of(bytes);
  if (free_[order].empty() && !cut(order)) {
    join_neighbours();
    if (free_[order].empty() && !cut(order)) return make_error(Errc::would_block, {});
  }
  const Slab slab{free_[order].back(), slab_bytes_min << order};
  if (auto grown = grow_to(slab.offset + slab.bytes); !grown) return grown.error();
  free_[order].pop_back();
  lent_ += slab.bytes;
  return slab;
}

bool SlabPool::has_at_hand(std::size_t bytes) const noexcept {
  const std::size_t wanted = order_of(bytes);
  for (std::size_t order = wanted; order < orders; ++order) {
    if (free_[order].empty()) continue;
    const std::uint64_t block = slab_bytes_min << wanted;
    return free_[order].back() + block <= std::max(grown_, 4 * block);
  }
  return false;
}

void SlabPool::give_back(Slab slab) noexcept {
  BULKHEAD_ASSERT(lent_ >= slab.bytes);
  lent_ -= slab.bytes;
  free_[order_of(slab.bytes)].push_back(slab.offset);
}

// Makes a block of this order out of the next larger one there is. Lower halves go first, so that an
// area which is hardly used stays small.
bool SlabPool::cut(std::size_t order) {
  std::size_t larger = order + 1;
  while (larger < orders && free_[larger].empty()) ++larger;
  if (larger >= orders) return false;
  for (; larger > order; --larger) {
    const std::uint64_t offset = free_[larger].back();
    free_[larger].pop_back();
    free_[larger - 1].push_back(offset + (slab_bytes_min << (larger - 1)));
    free_[larger - 1].push_back(offset);
  }
  return true;
}

void SlabPool::join_neighbours() {
  for (std::size_t order = 0; order + 1 < orders; ++order) {
    auto& blocks = free_[order];
    std::sort(blocks.begin(), blocks.end(), std::greater<>());  // the lowest goes out first
    std::vector<std::uint64_t> alone;
    const std::uint64_t bytes = slab_bytes_min << order;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const bool joins = i + 1 < blocks.size() && blocks[i + 1] + bytes == blocks[i] &&
                         blocks[i + 1] % (2 * bytes) == 0;
      if (joins) {
        free_[order + 1].push_back(blocks[++i]);
      } else {
        alone.push_back(blocks[i]);
      }
    }
    blocks.swap(alone);
  }
}

Result<void> SlabPool::grow_to(std::uint64_t end) {
  if (end <= grown_) return {};
  const std::uint64_t to = std::min(area_, (end + growth_bytes - 1) / growth_bytes * growth_bytes);
  if (auto grown = grow_(grown_, to - grown_); !grown) {
    return make_error(Errc::out_of_budget,
                      "no memory for " + std::to_string(to - grown_) +
                          " more bytes of slabs: " + grown.error().to_string());
  }
  grown_ = to;
  return {};
}

}  // namespace bulkhead::ipc
