// What the workers of a crew found, in memory that outlives each of them. Written by workers, read by
// the crew and the report.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bulkhead::sweep {

inline constexpr std::size_t rows_max = 512;
inline constexpr std::size_t workers_max = 2;  // the machine is shared with others
inline constexpr std::size_t findings_max = 256;

struct Finding {
  std::uint64_t ordinal;
  std::array<char, 240> complaint;
};

struct Tally {
  struct OfRow {
    std::atomic<std::uint64_t> points, violations, not_reached, retries;
  };
  std::array<OfRow, rows_max> rows{};
  std::array<std::atomic<std::uint64_t>, workers_max> at{};  // the ordinal that each is busy with
  std::atomic<std::uint32_t> finding_count{};                // may exceed what is kept
  std::array<Finding, findings_max> findings{};

  void note(std::uint64_t ordinal, std::string_view complaint) noexcept {
    const std::uint32_t mine = finding_count++;
    if (mine >= findings_max) return;
    findings[mine].ordinal = ordinal;
    complaint.copy(findings[mine].complaint.data(), findings[mine].complaint.size() - 1);
  }
};

}  // namespace bulkhead::sweep
