// The descriptors that outlive the brain, by name: the keeper's side of the store table. Used by the
// keeper alone; must not allocate and does not know what a descriptor is for.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/fd.hpp"
#include "supervisor/keeper_layout.hpp"

namespace bulkhead::supervisor {

// The table is in shared memory for brains to read; how to find a tag in it is private. Zero-initialised
// memory is an empty store, so that a static one costs nothing until it is used.
class KeeperStore {
 public:
  void attach(keeper_layout::Header&, std::span<keeper_layout::StoreEntry>) noexcept;

  // Takes the descriptor. 0, or ENOSPC when the table is full.
  int put(std::string_view tag, base::UniqueFd fd) noexcept;
  void drop(std::string_view tag) noexcept;  // idempotent

  std::uint32_t size() const noexcept { return size_; }
  // Writes the descriptors to `out`, which has room for size() of them; returns how many.
  std::size_t list(std::span<int> out) const noexcept;

 private:
  using Link = std::uint16_t;  // entry + 1; 0 ends a list
  Link& bucket(std::string_view tag) noexcept;
  Link* find(
      std::string_view tag) noexcept;  // the link that names the entry; null when there is none

  keeper_layout::Header* header_ = nullptr;
  std::span<keeper_layout::StoreEntry> entries_;
  std::array<Link, keeper_layout::store_entries_max> buckets_{};
  std::array<Link, keeper_layout::store_entries_max> next_{};  // in a bucket, or in the free list
  Link free_ = 0;
  std::uint32_t size_ = 0;
  std::uint64_t puts_ = 0;
};

}  // namespace bulkhead::supervisor
