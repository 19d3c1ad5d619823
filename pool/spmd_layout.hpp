// The memory between the ranks of one run: who has come how far, what each has called, and the bytes on their way. Made by
// the owner, written by the ranks; used by SpmdGroup and by who watches over the ranks. Knows no collective.
//
//   0            128              128 + 320 ranks, rounded up to a page
//   | SpmdHeader | RankPage 0 | … | RankPage n-1 |   | buffer of 0: two halves of piece_bytes | … | of n-1 |
//
//   RankPage: | RankLine: arrived, asleep, state, processor | call of even steps | call of odd steps |
//
// A run is a sequence of steps, counted from 1 and the same for all. In step s a rank writes its call (in the first step of a
// collective) and its bytes into the half s % 2 of what is its own, stores arrived = s, waits until everybody's `arrived`
// is s or more, and reads what the others wrote.
//
// (G1) A page and a buffer are written by their rank alone; but `state`, by the rank or the owner, and that once: from running.
// (G2) `arrived` grows by one, after all that belongs to its step is written, and only when every rank has arrived at the
//      step before. So nobody is two steps ahead of anybody.
// (G3) Who has arrived at s + 1 has read what it wanted of step s. So nobody reads the half that is written for s + 2.
// (G4) Who leaves the state running stores `state` first and rings the bell then. Death is stored after the kernel's word only.
// (G5) All ranks are in the same step of the same collective, or their calls of that step differ, which all of them see.
//
// | tag         | writer                | reader               | visible after it        | killed in between                  |
// |-------------|-----------------------|----------------------|-------------------------|------------------------------------|
// | spmd.arrive | SpmdGroup::arrive     | SpmdGroup::all_here  | the step's call, bytes  | it never arrives: its death ends   |
// |             |                       |                      |                         | the wait of the others             |
// | spmd.asleep | SpmdGroup::sleep      | SpmdGroup::arrive    | nothing but the word    | a ring for nobody                  |
// | spmd.state  | mark_rank             | SpmdGroup::state_of  | the last arrival        | the owner stores the death         |
// | wake.bell   | ring (ipc/wake.hpp)   | SpmdGroup::sleep     | arrivals and states     | arrived, not rung: the owner rings |
// |             |                       |                      |                         | for the death, and all look again  |
#pragma once

#include <bulkhead/detail/spmd_collective.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace bulkhead::pool {

enum class RankState : std::uint32_t {
  running = 0,
  returned = 1,
  threw = 2,
  gave_up = 3,  // its deadline ended a wait
  dead = 4,
  unborn = 5,  // no process could be had
};

// What a rank called; compared as bytes.
struct SpmdCall {
  static constexpr std::size_t name_bytes = 44;

  std::uint64_t sequence;  // of the rank's calls, from 1
  detail::CollectiveKind kind;
  std::uint32_t root;
  std::uint64_t element_bytes, count;            // of each rank's part
  std::uint64_t signature;                       // a hash of both names in full
  char type[name_bytes], operation[name_bytes];  // mangled, and cut where they are longer
};

struct alignas(64) RankLine {
  std::atomic<std::uint64_t> arrived;
  std::atomic<std::uint32_t> asleep;
  std::atomic<RankState> state;
  std::atomic<std::uint32_t> processor;  // where it arrived, plus 1: a hint to who waits for it
};

struct alignas(64) RankPage {
  RankLine line;
  SpmdCall calls[2];
};

struct alignas(64) SpmdHeader {
  static constexpr std::uint32_t magic_value = 0x47534842;  // "BHSG"
  static constexpr std::uint32_t version_value = 1;

  std::uint32_t magic, version;
  std::uint32_t ranks;
  std::uint32_t piece_bytes;
  alignas(64) std::atomic<std::uint32_t> bell;  // all sleep on it
};

static_assert(sizeof(SpmdHeader) == 128 && offsetof(SpmdHeader, bell) == 64);
static_assert(sizeof(SpmdCall) == 128 && offsetof(SpmdCall, type) == 40);
static_assert(sizeof(RankLine) == 64 && sizeof(RankPage) == 320);
static_assert(std::has_unique_object_representations_v<SpmdCall>);
static_assert(std::is_trivially_copyable_v<SpmdCall>);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              std::atomic<RankState>::is_always_lock_free);

inline constexpr std::uint32_t spmd_piece_bytes = 64 << 10;
inline constexpr std::uint32_t spmd_piece_bytes_min = 4096;
static_assert(spmd_piece_bytes_min >= detail::spmd_element_bytes_max);

// Where things are. A view: the memory outlives it.
class SpmdMemory {
 public:
  explicit SpmdMemory(std::span<std::byte> bytes) noexcept : bytes_(bytes) {}

  static constexpr std::size_t buffers_at(std::uint32_t ranks) noexcept {
    return (sizeof(SpmdHeader) + ranks * sizeof(RankPage) + 4095) & ~std::size_t{4095};
  }
  static constexpr std::size_t bytes_for(std::uint32_t ranks, std::uint32_t piece_bytes) noexcept {
    return buffers_at(ranks) + std::size_t{ranks} * 2 * piece_bytes;
  }

  SpmdHeader& header() const noexcept { return *reinterpret_cast<SpmdHeader*>(bytes_.data()); }
  RankPage& page(std::uint32_t rank) const noexcept {
    return reinterpret_cast<RankPage*>(bytes_.data() + sizeof(SpmdHeader))[rank];
  }
  std::byte* half(std::uint32_t rank, std::uint64_t step) const noexcept {
    return bytes_.data() + buffers_at(header().ranks) +
           (std::size_t{rank} * 2 + step % 2) * header().piece_bytes;
  }

 private:
  std::span<std::byte> bytes_;
};

// Memory for a run that has not begun. Errors: of the system.
Result<SharedArray<std::byte>> make_spmd_memory(std::uint32_t ranks, std::uint32_t piece_bytes);
// (G4). Does nothing when the rank has left the state running before.
void mark_rank(SpmdMemory, std::uint32_t rank, RankState) noexcept;

}  // namespace bulkhead::pool
