// The state memory: all that a brain leaves to its successor. Written by the brain and, one word a
// slot, by its vfork children; the keeper maps it read-only and reads header and claims.
//
//   0        header (one page)
//   4096     claims: slot_count x 8 bytes {generation:32, pid:32}
//   ...      failures: slot_count x 8 bytes, base::pack_failure
//   ...      system record, two copies
//   ...      instance records: slot_count x 2048 bytes, two copies each
//   ...      group records: group_count x 2048 bytes, two copies each
//   ...      events: 65536 x 128 bytes
// Pages come into being when they are touched.
//
// Invariants:
// (S1) A record's stamp names the copy that is complete: copy[stamp & 1]; 0 means never saved. The
// other
//      copy may be half written.
// (S2) A claim's generation only grows. {g, 0} is the intent to start g; {g, pid} means that pid is g;
//      {g, ended} that g is over or never will be. {g, 0} -> {g, pid} is done by the process pid itself,
//      everything else by the living brain. {g, *} -> {g', pid} makes a process that has another slot's
//      claim into this slot's; the other claim is ended after that, so for a moment both name it.
// (S3) Events [next_event - 65536, next_event) exist, except the one being written: its own
// sequence
//      number is 0 then.
//
// Sync points:
//   tag            writer -> reader             visible then          a kill in between leaves
//   state.claim    brain, vfork child -> both   the word alone        intent without process: the
//   next brain bumps it state.record   brain -> next brain          the saved copy        the copy
//   before it (S1) state.event    brain -> any reader          the event's words     an event that
//   never was (S3) state.taken    brain -> keeper              nothing else          the next brain
//   starts with back-off state.failure  vfork child -> any brain     the word alone        an exit
//   127 without a reason
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace bulkhead::supervisor::state_layout {

inline constexpr std::uint64_t magic = 0x31'5453'4b48'4c42;  // "BLHKST1"
inline constexpr std::uint32_t version = 2;
inline constexpr std::uint32_t worker_slots = 8192;  // limit of instances (INTERFACES: 8192)
inline constexpr std::uint32_t internal_slots = 16;  // logger, viewer, web: after the others
inline constexpr std::uint32_t slot_count = worker_slots + internal_slots;
inline constexpr std::uint32_t group_count = 256;
inline constexpr std::uint64_t event_count = 65536;
inline constexpr std::size_t operation_count = 256;

struct Header {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t instance_bytes;  // sizeof(InstanceState) of the brain that wrote first; 0: none yet
  alignas(64) std::atomic<std::uint64_t> beat;
  alignas(64) std::atomic<std::uint32_t> taken_over;  // generation of the last brain that took over
  alignas(64) std::atomic<std::uint64_t> next_event;  // from 1; 0 only in fresh memory
};

// What the system as a whole needs to go on. The brain's own; the region only keeps it.
struct SystemRecord {
  std::uint64_t random = 0;  // State::random
  std::uint64_t next_session = 1;
  std::uint64_t next_link_pair = 1;
  std::uint64_t system_id = 0;  // random, of BULKHEAD_COOKIE
  std::uint8_t stopping = 0, kill_now = 0, finished = 0, reserved = 0;
  std::int32_t exit_code = 0;
  std::uint64_t operations_recorded = 0;  // the next one goes to operations[this % 256]
  std::array<std::uint64_t, operation_count> operations{};  // ids of writes that were carried out
  // Of the config that this state belongs to: what config.reloaded has been told of, and the revision
  // that the brain works with (running_config.hpp).
  std::uint64_t config_serial = 1, config_revision = 1;
  std::array<std::uint64_t, 30> spare{};
};
static_assert(std::is_trivially_copyable_v<SystemRecord>);

// One event of the stream; `type`, `cause_kind` and `extra` mean what the brain says they mean.
struct EventRecord {
  std::uint64_t sequence = 0;  // set by append
  std::uint64_t t_ns = 0;
  std::uint16_t type = 0;
  std::uint8_t cause_kind = 0;
  std::uint8_t reserved = 0;
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  std::int32_t pid = 0;
  std::int32_t cause_code = 0;
  std::uint32_t flags = 0;
  std::uint64_t until = 0;
  std::array<std::uint64_t, 4> extra{};
  std::array<char, 48> text{};  // padded with zeros; cut where longer
};
static_assert(sizeof(EventRecord) == 128 && std::is_trivially_copyable_v<EventRecord>);
static_assert(std::has_unique_object_representations_v<EventRecord>);

template <class Record>
struct DoubleBuffer {
  std::atomic<std::uint64_t> stamp;
  Record copies[2];
};

using InstanceBytes = std::array<std::byte, 1020>;
struct alignas(2048) InstanceSlot : DoubleBuffer<InstanceBytes> {};
static_assert(sizeof(InstanceSlot) == 2048);

// Words, so that a reader who is overtaken reads garbage without a data race, and notices.
using EventWords = std::array<std::atomic<std::uint64_t>, sizeof(EventRecord) / 8>;
static_assert(sizeof(EventWords) == sizeof(EventRecord));

struct Layout {
  alignas(4096) Header header;
  alignas(4096) std::atomic<std::uint64_t> claims[slot_count];
  alignas(4096) std::atomic<std::uint64_t> failures[slot_count];
  alignas(4096) DoubleBuffer<SystemRecord> system;
  alignas(4096) InstanceSlot instances[slot_count];
  alignas(4096) InstanceSlot groups[group_count];
  alignas(4096) EventWords events[event_count];
};
static_assert(offsetof(Layout, claims) == 4096);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

inline constexpr std::int32_t ended_pid =
    -1;  // in a claim: that generation's exit was read, or it never began
constexpr std::uint64_t claim_word(std::uint32_t generation, std::int32_t pid) noexcept {
  return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(pid);
}
constexpr std::uint32_t claim_generation(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word >> 32);
}
constexpr std::int32_t claim_pid(std::uint64_t word) noexcept {
  return static_cast<std::int32_t>(word & 0xffff'ffff);
}

}  // namespace bulkhead::supervisor::state_layout
