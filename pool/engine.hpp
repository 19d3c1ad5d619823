// Where a pool's tasks are run: in processes (Dispatcher), in threads, or by whoever submits (LocalEngine). Used by Pool
// and by futures, which know no more of it.
#pragma once

#include <bulkhead/pool.hpp>

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "pool/task_state.hpp"

namespace bulkhead::pool {

// Threads: any.
class Engine {
 public:
  virtual ~Engine() = default;
  // Ends everything: futures fail with `closed`.
  virtual void stop() = 0;

  virtual std::shared_ptr<detail::TaskState> submit(std::uint32_t function, detail::BodyWriter body,
                                                    const TaskOptions&) = 0;
  virtual std::shared_ptr<detail::TaskState> submit_range(detail::RangeWork) = 0;
  // Once. The caller has waited for it.
  virtual detail::RangeOutcome range_outcome(const detail::TaskState&) = 0;
  virtual bool cancel(const detail::TaskState&) = 0;
  // Does what may bring the task to its end sooner, for a moment.
  virtual void help(const detail::TaskState&, Deadline) = 0;

  virtual void resize(unsigned workers) = 0;
  virtual Result<void> drain(Deadline) = 0;
  virtual PoolStats stats() const = 0;
  virtual ScheduleTrace schedule_trace() const { return {}; }
  virtual std::vector<int> pids() const = 0;
};

// For drain(), with the engine's lock. `emptied` is notified when nothing is pending.
Result<void> drain_until_empty(std::unique_lock<std::mutex>&, std::condition_variable& emptied,
                               Deadline, const std::function<std::size_t()>& pending);

}  // namespace bulkhead::pool
