// A task, or a range of items, from its submission to its end. Used by the dispatcher and its seats, under their lock.
#pragma once

#include <bulkhead/pool.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/task_state.hpp"

namespace bulkhead::pool {

class RangeJob;

struct Work {
  std::uint64_t number = 0;
  std::uint32_t function = 0;
  Bytes body;
  std::vector<detail::Attachment> attachments;
  TaskOptions options;
  std::shared_ptr<detail::TaskState> state;
  unsigned attempts = 0;  // that ended with its worker
  bool alone = false;     // nobody else's task shares its worker
  // Of threads: whether one has begun it, and whether it was cancelled since; why it cannot be run at all.
  bool running = false;
  std::atomic<bool> cancelled{false};
  std::optional<Error> unfit;
  std::unique_ptr<RangeJob> range;  // null: a task
  std::size_t bytes() const noexcept { return body.size(); }
};

}  // namespace bulkhead::pool
