// The two pages between a worker and the brain, one line each: the worker's beat, which the brain
// only reads, and the brain's attention word, which the worker only reads and sleeps on. Used by
// the worker runtime, by the brain and its watchdog. Must not know the control protocol.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace bulkhead::ipc {

inline constexpr std::size_t worker_page_bytes = 4096;  // the size of either memfd

enum class BeatPhase : std::uint32_t {
  starting = 0,  // not yet given its links
  busy = 1,      // runs: overdue when `beat` stands still for longer than the watchdog's timeout
  idle = 2,      // sleeps in a call of ours: never overdue
};

//   0        4          8            16       20           24
//   | magic  | version  | beat       | phase  | generation | unused up to one line |
//
// Written by the worker alone, with the magic last. The brain maps it read-only and checks the size
// of the memfd first. `beat` counts calls, it is no time: the watchdog notes when it saw it change.
// `generation` is the incarnation's, so that a new brain does not take a predecessor's page for it.
struct alignas(64) BeatPage {
  static constexpr std::uint32_t magic_value = 0x31424842;  // "BHB1"
  static constexpr std::uint32_t version_value = 2;

  std::atomic<std::uint32_t> magic;
  std::atomic<std::uint32_t> version;
  std::atomic<std::uint64_t> beat;
  std::atomic<std::uint32_t> phase;  // BeatPhase
  std::atomic<std::uint32_t> generation;
};
static_assert(sizeof(BeatPage) == 64 && offsetof(BeatPage, beat) == 8 &&
              offsetof(BeatPage, phase) == 16 && offsetof(BeatPage, generation) == 20);

//   0      4
//   | word | unused up to one line |
//
// Written by the brain alone, which adds one after each packet that it sent, and then wakes every
// waiter of the futex (shared, not private). All zero at first.
struct alignas(64) AttentionPage {
  std::atomic<std::uint32_t> word;
};
static_assert(sizeof(AttentionPage) == 64 && offsetof(AttentionPage, word) == 0);

static_assert(std::atomic<std::uint32_t>::is_always_lock_free &&
              std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace bulkhead::ipc
