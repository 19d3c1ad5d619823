#include "ipc/resend_window.hpp"

#include <algorithm>
#include <bit>

namespace bulkhead::ipc {

std::size_t ResendWindow::bytes_for(std::size_t capacity, std::size_t max_message) noexcept {
  return std::bit_ceil(std::max({capacity, 2 * max_message + cache_line, ring_capacity_min}));
}

ResendWindow::ResendWindow(Segment& segment) noexcept
    : lane_(segment.ring(), segment.page(), segment.facts().base_index),
      kept_(segment.ring(), 0, segment.facts().base_index),
      unsent_(kept_) {}

std::optional<ResendWindow::Record> ResendWindow::next_unsent() const noexcept {
  LaneConsumer ahead = unsent_;
  Record record;
  if (ahead.poll(record) != LaneConsumer::Found::record) return std::nullopt;
  return record;
}

void ResendWindow::mark_sent() noexcept {
  Record record;
  static_cast<void>(unsent_.poll(record));
}

bool ResendWindow::reclaim(std::uint64_t position) noexcept {
  const std::uint64_t step = distance(lane_.reclaimed(), position);
  if (step > lane_.position() - lane_.reclaimed()) return false;
  const std::uint64_t to = lane_.reclaimed() + step;
  LaneConsumer walk = kept_;
  Record record;
  while (walk.position() < to && walk.poll(record) == LaneConsumer::Found::record) {
  }
  if (walk.position() != to) return false;
  kept_ = walk;
  return lane_.reclaim(position);
}

}  // namespace bulkhead::ipc
