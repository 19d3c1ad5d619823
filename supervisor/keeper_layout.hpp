// The keeper's page and its packets, as keeper and brain share them. Knows nothing of either.
//
//   0          header
//   4096       store: store_entries x 256 bytes, touched only as far as store_high_water
//   + 256 n    exit ring: exit_entries (a power of two) x 128 bytes
//
// The keeper alone writes; the brain maps it read-only. Sync points:
//   tag                  writer -> reader    visible then           a kill in between leaves
//   keeper.store         keeper -> brain     fd, tag of the entry   (keeper's death ends the
//   system) keeper.exits         keeper -> brain     the ring entry         likewise keeper.stop
//   keeper -> brain     the count alone        likewise
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace bulkhead::supervisor::keeper_layout {

inline constexpr std::uint64_t magic = 0x31'5250'4b48'4c42;  // "BLHKPR1"
inline constexpr std::uint32_t version = 2;
inline constexpr std::uint32_t store_entries_max = 65520;
inline constexpr std::uint32_t exit_entries_default = 4096;
inline constexpr std::uint32_t exit_entries_max = 65536;
inline constexpr std::size_t tag_bytes_max = 231;
inline constexpr std::size_t store_offset = 4096;

struct Header {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t store_entries;  // capacity, set at creation
  std::uint32_t exit_entries;   // capacity, a power of two
  std::int32_t keeper_pid;
  std::uint64_t started_ns;         // CLOCK_MONOTONIC
  std::uint64_t nofile_soft_limit;  // as it was before the keeper raised it: children get it back
  std::atomic<std::uint32_t> brain_generation;  // of the latest brain, from 1
  std::atomic<std::int32_t> brain_pid;
  std::atomic<std::uint32_t> stop_requests;  // signals to the keeper so far
  std::atomic<std::uint32_t> store_high_water;
  std::atomic<std::uint64_t> exits_appended;      // next sequence number, from 0
  std::atomic<std::uint64_t> exits_acknowledged;  // below this the entries may be overwritten
  std::atomic<std::uint64_t> orphans_reaped;      // children that no claim named
  std::uint32_t is_heard;  // 1: a service manager listens to `say`; set before the first brain
};

enum class EntryState : std::uint32_t { free = 0, used = 1 };

struct StoreEntry {
  std::atomic<EntryState> state;
  std::int32_t fd;      // the keeper's number, which a brain inherits unchanged
  std::uint64_t order;  // counts puts: entries sorted by it are in the order of their last put
  std::uint64_t reserved;
  std::uint8_t tag_bytes;
  char tag[tag_bytes_max];
};
static_assert(sizeof(StoreEntry) == 256);

struct ExitEntry {
  std::uint64_t sequence;
  std::uint32_t slot;
  std::uint32_t generation;
  std::int32_t pid;
  std::int32_t code;    // si_code: CLD_EXITED, CLD_KILLED, CLD_DUMPED
  std::int32_t status;  // si_status: exit code or signal
  std::uint32_t reserved;
  std::uint64_t t_ns;  // CLOCK_MONOTONIC, when the keeper saw it
  std::uint64_t user_us, system_us;
  std::uint64_t max_rss_kib;
  std::uint64_t minor_faults, major_faults;
  std::uint64_t voluntary_switches, involuntary_switches;
  std::uint64_t spare[4];
};
static_assert(sizeof(ExitEntry) == 128 && std::is_trivially_copyable_v<ExitEntry>);
static_assert(sizeof(Header) <= store_offset);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

constexpr std::size_t exits_offset(std::uint32_t store_entries) noexcept {
  return store_offset + std::size_t{store_entries} * sizeof(StoreEntry);
}
constexpr std::size_t page_bytes(std::uint32_t store_entries, std::uint32_t exit_entries) noexcept {
  return exits_offset(store_entries) + std::size_t{exit_entries} * sizeof(ExitEntry);
}

// The exit code of a brain that ends so that its successor begins with another config.
inline constexpr int exit_handover = 120;

// --- packets of the brain's SOCK_SEQPACKET pair ---

enum class Operation : std::uint32_t {
  put = 1,          // tag and one descriptor; replaces what the tag named
  drop = 2,         // tag
  stop = 3,         // value: exit code
  acknowledge = 4,  // value: exit entries below it are done with; not answered
  say = 5,          // tag: the message for the service manager
};

struct Request {
  Operation operation;
  std::uint32_t sequence;
  std::uint64_t value;
  std::uint64_t reserved;
  std::uint8_t tag_bytes;
  char tag[tag_bytes_max];
};
static_assert(sizeof(Request) == 256 && std::is_trivially_copyable_v<Request>);

enum class ReplyKind : std::uint32_t { answer = 1, bell = 2 };

struct Reply {
  ReplyKind kind;
  std::uint32_t sequence;  // of the request
  std::int32_t error_number;
  std::int32_t entry;
};
static_assert(sizeof(Reply) == 16 && std::is_trivially_copyable_v<Reply>);

}  // namespace bulkhead::supervisor::keeper_layout
