// A task, or a range of items, from its submission to its end. Used by the dispatcher and its seats, under their lock.
#pragma once

#include <bulkhead/pool.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
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
  unsigned attempts = 0;            // that ended with its worker
  bool alone = false;               // nobody else's task shares its worker
  std::unique_ptr<RangeJob> range;  // null: a task
  std::size_t bytes() const noexcept { return body.size(); }
};

}  // namespace bulkhead::pool
