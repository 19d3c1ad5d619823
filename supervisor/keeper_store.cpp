#include "supervisor/keeper_store.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>

// The table of sync points stands in keeper_layout.hpp.
namespace bulkhead::supervisor {
namespace {

using keeper_layout::EntryState;
using keeper_layout::StoreEntry;

std::string_view tag_of(const StoreEntry& entry) noexcept { return {entry.tag, entry.tag_bytes}; }

std::uint64_t fnv1a(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3;
  return hash;
}

}  // namespace

void KeeperStore::attach(keeper_layout::Header& header,
                         std::span<keeper_layout::StoreEntry> entries) noexcept {
  header_ = &header;
  entries_ = entries;
}

KeeperStore::Link& KeeperStore::bucket(std::string_view tag) noexcept {
  return buckets_[fnv1a(tag) % buckets_.size()];
}

KeeperStore::Link* KeeperStore::find(std::string_view tag) noexcept {
  for (Link* link = &bucket(tag); *link != 0; link = &next_[*link - 1U]) {
    if (tag_of(entries_[*link - 1U]) == tag) return link;
  }
  return nullptr;
}

int KeeperStore::put(std::string_view tag, base::UniqueFd fd) noexcept {
  if (const Link* known = find(tag)) {
    StoreEntry& entry = entries_[*known - 1U];
    ::close(entry.fd);
    entry.fd = fd.release();
    entry.order = ++puts_;
    return 0;
  }
  // relaxed: we are the only writer
  const auto fresh = header_->store_high_water.load(std::memory_order_relaxed);
  if (free_ == 0 && fresh == entries_.size()) return ENOSPC;
  const Link mine = free_ != 0 ? free_ : static_cast<Link>(fresh + 1);
  if (free_ != 0) free_ = next_[mine - 1U];

  StoreEntry& entry = entries_[mine - 1U];
  entry.fd = fd.release();
  entry.order = ++puts_;
  entry.tag_bytes = static_cast<std::uint8_t>(tag.size());
  std::memcpy(entry.tag, tag.data(), tag.size());
  // sync keeper.store: release; pairs with acquire in KeeperClient::inherit_store; publishes fd and tag
  entry.state.store(EntryState::used, std::memory_order_release);
  if (mine > fresh) {
    // sync keeper.store: release; pairs with acquire in KeeperClient::inherit_store; publishes the entry
    header_->store_high_water.store(mine, std::memory_order_release);
  }
  Link& head = bucket(tag);
  next_[mine - 1U] = head;
  head = mine;
  ++size_;
  return 0;
}

void KeeperStore::drop(std::string_view tag) noexcept {
  Link* link = find(tag);
  if (link == nullptr) return;
  const Link mine = *link;
  StoreEntry& entry = entries_[mine - 1U];
  // relaxed: a brain looks only before its first request
  entry.state.store(EntryState::free, std::memory_order_relaxed);
  ::close(entry.fd);
  *link = next_[mine - 1U];
  next_[mine - 1U] = free_;
  free_ = mine;
  --size_;
}

std::size_t KeeperStore::list(std::span<int> out) const noexcept {
  std::size_t count = 0;
  // relaxed: our own writes
  const auto end = header_->store_high_water.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < end && count < out.size(); ++i) {
    if (entries_[i].state.load(std::memory_order_relaxed) ==
        EntryState::used) {  // relaxed: likewise
      out[count++] = entries_[i].fd;
    }
  }
  return count;
}

}  // namespace bulkhead::supervisor
