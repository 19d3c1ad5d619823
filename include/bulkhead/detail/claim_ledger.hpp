// The memory in which the items of one range job are dealt out, with their inputs and results. Made by the pool's
// owner, written by its workers; included by <bulkhead/pool.hpp>, because the loop that takes items is the user's
// hot path. Knows nothing of processes.
//
//   | header | slot 0 | … | slot n-1 | marks: a byte per item | inputs | outputs |
//
// A worker claims a chunk with one fetch_add on `next`, keeps it as the range of its slot, and takes items from the
// front of that; an idle worker takes the back half of another's range. Which items are done is known at any time:
// (L1) An item is run by whoever took it, by compare-and-swap, from a slot's range; each is in one range at most.
// (L2) An item's mark is set after its result is stored.
// (L3) `current` names an item before it is taken and keeps it until the next: of a dead worker it is the suspect, if its
//      mark is not set.
// (L4) What a worker had claimed and not yet put into its slot when it died is in no range and has no mark: the owner finds
//      it at the end, when nobody is at work.
//
// | tag        | writer          | reader            | visible after it       | killed in between           |
// |------------|-----------------|-------------------|------------------------|-----------------------------|
// | claim.mark | ClaimSeat::mark | owner, at the end | the item's result      | no mark: it is run again    |
// | claim.current | ClaimSeat::take | RangeJob::timed_item | when it was begun | it is the suspect (L3)      |
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace bulkhead::detail {

enum class ItemMark : std::uint8_t { undone = 0, done = 1, failed = 2 };

// Half-open, both ends in one word, so that owner, holder and thief agree on every change.
struct ClaimRange {
  std::uint32_t begin = 0, end = 0;
  std::uint32_t size() const noexcept { return end > begin ? end - begin : 0; }
};

struct alignas(64) ClaimSlot {
  std::atomic<ClaimRange> range;
  std::atomic<std::uint64_t> current;     // item + 1; 0 for none
  std::atomic<std::uint64_t> started_ns;  // of the current item, where it has a time limit
};
static_assert(sizeof(ClaimSlot) == 64 && std::atomic<ClaimRange>::is_always_lock_free);

struct alignas(64) ClaimLedger {
  static constexpr std::uint32_t slots_max = 256;

  std::uint32_t items, slots;
  std::uint32_t timed;  // 1: workers note when they begin an item
  std::uint64_t base;   // added to an item's number for who computes from numbers
  std::uint64_t marks_at, inputs_at, outputs_at;
  alignas(64)
      std::atomic<std::uint64_t> next;  // the first item that nobody has claimed; may pass `items`

  ClaimSlot* slot(std::uint32_t index) noexcept {
    return reinterpret_cast<ClaimSlot*>(reinterpret_cast<std::byte*>(this) + sizeof(ClaimLedger)) +
           index;
  }
  std::byte* at(std::uint64_t offset) noexcept {
    return reinterpret_cast<std::byte*>(this) + offset;
  }
  std::atomic<ItemMark>& mark(std::uint32_t item) noexcept {
    return reinterpret_cast<std::atomic<ItemMark>*>(at(marks_at))[item];
  }
};
static_assert(sizeof(ClaimLedger) == 128 && std::is_standard_layout_v<ClaimLedger>);

// One worker's place in a ledger. One thread.
class ClaimSeat {
 public:
  using clock = std::chrono::steady_clock;
  // Chunks are sized to take about so long: claiming costs nothing beside it, and the last worker is late by no more.
  static constexpr std::chrono::nanoseconds chunk_time = std::chrono::microseconds(500);

  // `open`: claims chunks; else works off what the owner has put into its slot.
  ClaimSeat(ClaimLedger& ledger, std::uint32_t slot, bool open) noexcept
      : ledger_(ledger), slot_(*ledger.slot(slot)), index_(slot), open_(open) {}

  // The next item to run, or false when there is none left for us.
  bool take(std::uint32_t& item) noexcept {
    for (;;) {
      // relaxed: the words are all that passes between owner, holder and thief; each decides by compare-and-swap.
      ClaimRange range = slot_.range.load(std::memory_order_relaxed);
      if (range.begin >= range.end) {
        if (!open_ || !refill()) return false;
        continue;
      }
      if (ledger_.timed != 0) note_start();
      // sync claim.current: release; pairs with RangeJob::timed_item(); publishes when the item was begun (L3)
      slot_.current.store(std::uint64_t{range.begin} + 1, std::memory_order_release);
      // relaxed: as above.
      if (slot_.range.compare_exchange_weak(range, {range.begin + 1, range.end},
                                            std::memory_order_relaxed)) {
        item = range.begin;
        ++taken_;
        return true;
      }
    }
  }
  void mark(std::uint32_t item, ItemMark how) noexcept {
    // sync claim.mark: release; pairs with the owner's look at the marks; publishes the item's result
    ledger_.mark(item).store(how, std::memory_order_release);
  }
  // Between two jobs there is no suspect.
  void leave() noexcept {
    // relaxed: see take().
    slot_.current.store(0, std::memory_order_relaxed);
  }

  ClaimLedger& ledger() noexcept { return ledger_; }

 private:
  void note_start() noexcept {
    const auto now = clock::now().time_since_epoch();
    // relaxed: a clock for the owner to look at.
    slot_.started_ns.store(static_cast<std::uint64_t>(now.count()), std::memory_order_relaxed);
  }

  // Guided self-scheduling (Polychronopoulos and Kuck, 1987), bounded by the time that an item has taken so far.
  bool refill() noexcept {
    // relaxed: see take().
    const std::uint64_t claimed = ledger_.next.load(std::memory_order_relaxed);
    if (claimed < ledger_.items) {
      const std::uint64_t guided = (ledger_.items - claimed) / (2 * std::uint64_t{ledger_.slots});
      const std::uint64_t chunk = std::clamp<std::uint64_t>(guided, 1, chunk_by_time());
      // relaxed: see take().
      const std::uint64_t begin = ledger_.next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin < ledger_.items) {
        const std::uint64_t end = std::min<std::uint64_t>(begin + chunk, ledger_.items);
        hold({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
        return true;
      }
    }
    return steal();
  }
  std::uint64_t chunk_by_time() noexcept {
    const auto now = clock::now();
    if (taken_ == 0) {
      began_ = now;
      return 1;  // shows what an item costs
    }
    const auto spent = static_cast<std::uint64_t>((now - began_).count());
    const std::uint64_t item_ns = std::max<std::uint64_t>(spent / taken_, 1);
    began_ = now;
    taken_ = 0;
    return std::max<std::uint64_t>(static_cast<std::uint64_t>(chunk_time.count()) / item_ns, 1);
  }
  void hold(ClaimRange range) noexcept {
    // relaxed: see take().
    slot_.range.store(range, std::memory_order_relaxed);
  }

  // The back half of the longest range. A range of one item stays: its holder is about to take it.
  bool steal() noexcept {
    for (;;) {
      ClaimSlot* victim = nullptr;
      ClaimRange longest;
      for (std::uint32_t i = 0; i < ledger_.slots; ++i) {
        if (i == index_) continue;
        // relaxed: see take().
        const ClaimRange range = ledger_.slot(i)->range.load(std::memory_order_relaxed);
        if (range.size() > longest.size()) {
          longest = range;
          victim = ledger_.slot(i);
        }
      }
      if (longest.size() < 2 || longest.end > ledger_.items) return false;
      const std::uint32_t middle = longest.begin + longest.size() / 2;
      ClaimRange seen = longest;
      // relaxed: see take().
      if (victim->range.compare_exchange_strong(seen, {longest.begin, middle},
                                                std::memory_order_relaxed)) {
        hold({middle, longest.end});
        return true;
      }
    }
  }

  ClaimLedger& ledger_;
  ClaimSlot& slot_;
  const std::uint32_t index_;
  const bool open_;
  std::uint64_t taken_ = 0;  // since began_
  clock::time_point began_{};
};

}  // namespace bulkhead::detail
