// A task, or a range of items, from its submission to its end. Used by the dispatcher and its seats, under their lock.
#pragma once

#include <bulkhead/pool.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pool/task_state.hpp"

namespace bulkhead::pool {

class RangeJob;

inline TaskFailure failure_of(FailureCause cause, Error why) {
  TaskFailure failure;
  failure.cause = cause;
  failure.error = std::move(why);
  return failure;
}
inline TaskFailure failure_of_end() {
  return failure_of(FailureCause::closed,
                    make_error(Errc::closed, "the pool ended before the task did"));
}

struct Work {
  std::uint64_t number = 0;
  std::uint32_t function = 0;
  Bytes body;
  std::vector<detail::Attachment> attachments;
  TaskOptions options;
  std::shared_ptr<detail::TaskState> state;
  unsigned attempts = 0;  // that ended with its worker
  // Of threads: whether one has begun it, and whether it was cancelled since.
  bool running = false;
  std::atomic<bool> cancelled{false};
  std::unique_ptr<RangeJob> range;  // null: a task
  std::size_t bytes() const noexcept { return body.size(); }
};

std::shared_ptr<Work> make_call(std::uint32_t function, detail::BodyWriter, const TaskOptions&);
// Without its job, which is made of what is left of the argument.
std::shared_ptr<Work> make_range(detail::RangeWork&);

}  // namespace bulkhead::pool
