// The memory of incidents, which outlives every brain: a ring of records, one for each death, and a shorter
// one of what takes more room: the crash report, the threads of who hung, and the last lines of the log. Written by the brain alone;
// used through incident_store.hpp.
//
//   0        header
//   4096     records: record_count x 256 bytes, number n at n % record_count
//   ...      details: detail_count x 28 KiB, of number n at n % detail_count
// Pages come into being when they are touched.
//
// (N1) A record or detail counts when its number is the one that is looked for; the number is stored last. Later
// changes of a record are single words.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ipc/crash_page.hpp"

namespace bulkhead::supervisor::incident_layout {

inline constexpr std::uint64_t magic = 0x32'434e'494b'4842;  // "BHKINC2"
// So many are remembered, and of so many the details: 1 MiB and 7 MiB once all of it was used.
inline constexpr std::uint64_t record_count = 4096, detail_count = 256;
inline constexpr std::size_t log_lines_max = 50, log_bytes_max = 11 << 10;
inline constexpr std::size_t threads_bytes_max = 8 << 10;

struct Header {
  std::uint64_t magic;
  std::uint64_t bytes;              // of the whole; another brain's layout shows in it
  std::atomic<std::uint64_t> next;  // the next incident's number, from 1; 0 in fresh memory
};

enum class Stage : std::uint32_t {
  open = 0,      // no successor is ready yet
  closed = 1,    // one is
  given_up = 2,  // nobody wants one any more
};

struct Record {
  std::uint64_t number = 0;
  std::uint32_t slot = 0, generation = 0;  // whose death
  std::int32_t pid = 0;
  std::uint8_t cause_kind = 0, killed_for = 0, core_dumped = 0, has_report = 0;
  std::int32_t cause_code = 0;
  std::int32_t killer = 0;                     // pid of who asked for the signal; 0: not known
  std::uint64_t t0_ns = 0;                     // just before the signal was sent; 0: not known
  std::uint64_t died_ns = 0;                   // when the keeper saw it
  std::uint64_t told_ns = 0;                   // when the brain knew
  std::uint64_t spawned_ns = 0, ready_ns = 0;  // of the successor; 0: not yet
  std::uint64_t user_us = 0, system_us = 0, max_rss_kib = 0;
  std::uint32_t stage = 0;       // Stage
  std::uint32_t successor = 0;   // its generation, once ready
  std::array<char, 128> name{};  // of the instance, padded with zeros
  std::uint8_t hang = 0, hang_cpu_percent =
                             0;  // a Verdict (thread_look.hpp), of who was killed because it hung
  std::uint16_t unused = 0;
  std::int32_t hang_thread = 0;
  std::uint64_t memory_limit = 0;     // of who died, in bytes; 0: none
  std::uint32_t oom_kills = 0;        // of its processes, by the kernel for want of memory
  std::uint32_t at_memory_limit = 0;  // its cgroup had reached the limit
};
static_assert(sizeof(Record) == 256 && std::is_trivially_copyable_v<Record>);
static_assert(offsetof(Record, number) == 0);

enum class Logs : std::uint32_t { asked = 0, there = 1 };

struct Detail {
  std::uint64_t number = 0;
  std::uint32_t logs = 0;  // Logs
  std::uint32_t log_bytes = 0;
  std::array<char, log_bytes_max> log{};
  std::uint32_t threads_bytes = 0;
  std::uint32_t unused = 0;
  std::array<char, threads_bytes_max> threads{};  // see hang_report.hpp
  ipc::CrashPage report{};                        // checked; where the record has one
};
static_assert(sizeof(Detail) <= std::size_t{28} << 10 && std::is_trivially_copyable_v<Detail>);

struct Layout {
  alignas(4096) Header header;
  alignas(4096) Record records[record_count];
  alignas(4096) Detail details[detail_count];
};

}  // namespace bulkhead::supervisor::incident_layout
