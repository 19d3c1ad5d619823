// Reading and writing the words of an end page. Used by the endpoints of every transport, and by the brain for
// status; knows no transport.
//
// A peer's page is untrusted: what these return is some value that was stored, never a promise that
// it makes sense. Callers check it against their own.
//
// | tag           | writer                  | reader                      | visible after it           | killed in between            |
// |---------------|-------------------------|-----------------------------|----------------------------|------------------------------|
// | end.twin      | producer, consumer      | successor, peer, brain      | both words of the half     | the half before it counts    |
// | end.taken     | consumer, before it     | its successor, brain        | nothing but the word       | the message is marked as     |
// |               | hands a message out     |                             |                            | redelivered, once too often  |
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "ipc/attention.hpp"
#include "ipc/segment_layout.hpp"

namespace bulkhead::ipc {

// A place in what one incarnation of a producer sends. Positions are kept modulo 2^48.
struct Cursor {
  std::uint16_t epoch = 0;
  std::uint64_t position = 0;

  friend constexpr bool operator==(Cursor, Cursor) noexcept = default;
};
inline constexpr std::uint64_t position_mask = (std::uint64_t{1} << 48) - 1;

constexpr std::uint64_t pack(Cursor cursor) noexcept {
  return std::uint64_t{cursor.epoch} << 48 | (cursor.position & position_mask);
}
constexpr Cursor unpack(std::uint64_t word) noexcept {
  return {static_cast<std::uint16_t>(word >> 48), word & position_mask};
}
// How far `to` lies ahead of `from`; huge when it lies behind.
constexpr std::uint64_t distance(std::uint64_t from, std::uint64_t to) noexcept {
  return (to - from) & position_mask;
}

struct Committed {
  std::uint64_t position = 0;  // end of the last committed message, in this segment
  std::uint64_t count = 0;     // messages committed on the link, earlier incarnations included
};
struct Acknowledged {
  Cursor cursor;            // everything before it is done with
  std::uint64_t count = 0;  // messages acknowledged on the link
};

inline void store_twin(Twin& twin, std::uint64_t first, std::uint64_t second) noexcept {
  // relaxed: our own last store.
  const std::uint64_t turn = twin.turn.load(std::memory_order_relaxed) + 1;
  auto& half = twin.half[turn & 1];
  // sync end.twin: release; pairs with load_twin(); a reader that sees these sees the last turn too
  half.first.store(first, std::memory_order_release);
  // sync end.twin: release; pairs with load_twin(); as the line above
  half.second.store(second, std::memory_order_release);
  // sync end.twin: release; pairs with load_twin(); publishes both words of the half
  twin.turn.store(turn, std::memory_order_release);
}

// Nothing when the words moved during every try: a live writer is busy, or a hostile one plays.
struct TwinWords {
  std::uint64_t first, second;
};
inline std::optional<TwinWords> load_twin(const Twin& twin) noexcept {
  for (int tries = 0; tries < 64; ++tries) {
    // sync end.twin: acquire; pairs with store_twin(); shows the half that the turn names
    const std::uint64_t turn = twin.turn.load(std::memory_order_acquire);
    const auto& half = twin.half[turn & 1];
    // sync end.twin: acquire; pairs with store_twin(); a newer word shows that the turn has moved
    const std::uint64_t first = half.first.load(std::memory_order_acquire);
    // sync end.twin: acquire; pairs with store_twin(); as the line above
    const std::uint64_t second = half.second.load(std::memory_order_acquire);
    // relaxed: ordered after the two acquire loads.
    if (twin.turn.load(std::memory_order_relaxed) == turn) return TwinWords{first, second};
  }
  return std::nullopt;
}

inline void store_committed(EndPage& page, Committed value) noexcept {
  store_twin(page.committed, value.position, value.count);
}
inline std::optional<Committed> load_committed(const EndPage& page) noexcept {
  const auto words = load_twin(page.committed);
  if (!words) return std::nullopt;
  return Committed{words->first, words->second};
}

// Before a message is handed out: `end` is the position after it.
inline void store_taken(EndPage& page, Cursor end) noexcept {
  // sync end.taken: release; pairs with load_taken(); stays before what the receiver does next
  page.taken.store(pack(end), std::memory_order_release);
}
inline Cursor load_taken(const EndPage& page) noexcept {
  // sync end.taken: acquire; pairs with store_taken(); shows nothing but the word
  return unpack(page.taken.load(std::memory_order_acquire));
}

inline void store_acknowledged(EndPage& page, Acknowledged value) noexcept {
  store_twin(page.acked, pack(value.cursor), value.count);
}
inline std::optional<Acknowledged> load_acknowledged(const EndPage& page) noexcept {
  const auto words = load_twin(page.acked);
  if (!words) return std::nullopt;
  return Acknowledged{unpack(words->first), words->second};
}

// Whether an end has been used, in this process or, of an end that a fork copied, in another. The first word of the ring
// is the first commit, which the page may be behind by when its writer was killed; who only receives has no ring.
inline EndUse use_of_end(bool used_here, const EndPage& page,
                         std::span<const std::byte> ring) noexcept {
  if (used_here) return EndUse::here;
  const auto committed = load_committed(page);
  // relaxed: the word alone
  const bool begun =
      !ring.empty() && reinterpret_cast<const std::atomic<std::uint64_t>*>(ring.data())
                               ->load(std::memory_order_relaxed) != 0;
  const bool used =
      begun || (committed && committed->position != 0) || load_taken(page).position != 0;
  return used ? EndUse::elsewhere : EndUse::none;
}

inline void store_redelivered(EndPage& page, std::uint64_t count) noexcept {
  page.redelivered.store(count, std::memory_order_relaxed);  // relaxed: a figure for reports
}
inline std::uint64_t load_redelivered(const EndPage& page) noexcept {
  return page.redelivered.load(std::memory_order_relaxed);  // relaxed: a figure for reports
}

inline void store_dropped(EndPage& page, std::uint64_t count) noexcept {
  page.dropped.store(count, std::memory_order_relaxed);  // relaxed: a figure for reports
}
inline std::uint64_t load_dropped(const EndPage& page) noexcept {
  return page.dropped.load(std::memory_order_relaxed);  // relaxed: a figure for reports
}

}  // namespace bulkhead::ipc
