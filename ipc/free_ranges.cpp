#include "ipc/free_ranges.hpp"

#include <bulkhead/error.hpp>
#include <iterator>
#include <limits>

namespace bulkhead::ipc {
namespace {

// Nobody has an empty range: two of them could not be told apart.
constexpr std::uint64_t rounded(std::uint64_t bytes) noexcept {
  const std::uint64_t units = bytes / FreeRanges::unit + (bytes % FreeRanges::unit != 0 ? 1 : 0);
  return (units == 0 ? 1 : units) * FreeRanges::unit;
}

constexpr std::uint64_t bytes_most = std::numeric_limits<std::uint64_t>::max() / 2;

}  // namespace

FreeRanges::FreeRanges(std::uint64_t area_bytes) : free_bytes_(area_bytes / unit * unit) {
  if (free_bytes_ != 0) ranges_.emplace(0, free_bytes_);
}

std::optional<std::uint64_t> FreeRanges::take(std::uint64_t bytes) {
  if (bytes > free_bytes_) return std::nullopt;
  const std::uint64_t wanted = rounded(bytes);
  for (auto range = ranges_.begin(); range != ranges_.end(); ++range) {
    if (range->second < wanted) continue;
    const std::uint64_t offset = range->first;
    cut(range, offset, wanted);
    return offset;
  }
  return std::nullopt;
}

bool FreeRanges::take_at(std::uint64_t offset, std::uint64_t bytes) {
  if (offset % unit != 0 || offset > bytes_most || bytes > bytes_most) return false;
  const std::uint64_t wanted = rounded(bytes);
  auto range = ranges_.upper_bound(offset);
  if (range == ranges_.begin()) return false;
  --range;
  if (offset + wanted > range->first + range->second) return false;
  cut(range, offset, wanted);
  return true;
}

void FreeRanges::cut(std::map<std::uint64_t, std::uint64_t>::iterator range, std::uint64_t offset,
                     std::uint64_t bytes) {
  const std::uint64_t begin = range->first, end = range->first + range->second;
  ranges_.erase(range);
  if (begin < offset) ranges_.emplace(begin, offset - begin);
  if (offset + bytes < end) ranges_.emplace(offset + bytes, end - offset - bytes);
  free_bytes_ -= bytes;
}

void FreeRanges::give_back(std::uint64_t offset, std::uint64_t bytes) {
  std::uint64_t begin = offset, end = offset + rounded(bytes);
  free_bytes_ += end - begin;
  auto after = ranges_.upper_bound(begin);
  BULKHEAD_ASSERT(after == ranges_.end() || after->first >= end);
  if (after != ranges_.end() && after->first == end) {
    end += after->second;
    after = ranges_.erase(after);
  }
  if (after != ranges_.begin()) {
    const auto before = std::prev(after);
    BULKHEAD_ASSERT(before->first + before->second <= begin);
    if (before->first + before->second == begin) {
      begin = before->first;
      ranges_.erase(before);
    }
  }
  ranges_.emplace(begin, end - begin);
}

}  // namespace bulkhead::ipc
