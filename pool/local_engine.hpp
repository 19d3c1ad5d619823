// Runs a pool's tasks in this process: in threads, or in the call that submits them. For finding a fault with a debugger
// or a sanitizer before the same program is run in processes. Bodies are encoded and decoded as they are there.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "pool/engine.hpp"
#include "pool/range_job.hpp"
#include "pool/work.hpp"

namespace bulkhead::pool {

class LocalEngine final : public Engine, public std::enable_shared_from_this<LocalEngine> {
 public:
  static std::shared_ptr<LocalEngine> start(PoolOptions);
  ~LocalEngine() override;
  void stop() override;

  std::shared_ptr<detail::TaskState> submit(std::uint32_t function, detail::BodyWriter body,
                                            const TaskOptions&) override;
  std::shared_ptr<detail::TaskState> submit_range(detail::RangeWork) override;
  detail::RangeOutcome range_outcome(const detail::TaskState&) override;
  bool cancel(const detail::TaskState&) override;
  void help(const detail::TaskState&, Deadline) override {}

  void resize(unsigned workers) override;
  Result<void> drain(Deadline) override;
  PoolStats stats() const override;
  std::vector<int> pids() const override { return {}; }

 private:
  using Lock = std::unique_lock<std::mutex>;
  using WorkPtr = std::shared_ptr<Work>;
  explicit LocalEngine(PoolOptions);

  std::shared_ptr<detail::TaskState> enqueue(Lock&, WorkPtr);
  std::shared_ptr<detail::TaskState> refuse(Lock&, const WorkPtr&, const TaskFailure&);
  void number(const WorkPtr&);
  void live(unsigned index);
  WorkPtr next_work();
  void run(Lock&, const WorkPtr&, unsigned index);
  void run_call(Lock&, const WorkPtr&);
  void run_part(Lock&, const WorkPtr&, unsigned index);
  void finish(Lock&, const WorkPtr&, std::function<detail::TaskState::Calls()> end);

  const PoolOptions options_;
  const bool in_caller_;
  mutable std::mutex mutex_;
  std::condition_variable work_, room_, idle_;
  std::shared_ptr<Waiting> waiting_;
  unsigned wanted_ = 0;
  std::vector<std::thread> threads_;
  std::map<int, std::deque<WorkPtr>, std::greater<>> queue_;
  std::map<std::uint64_t, WorkPtr> pending_;
  std::map<std::uint64_t, detail::RangeOutcome> outcomes_;
  std::uint64_t last_number_ = 0;
  std::size_t pending_bytes_ = 0;
  PoolStats stats_;
  bool closing_ = false;
};

// In a task that a thread of this process runs: whether it should end.
bool local_stop_is_requested() noexcept;

}  // namespace bulkhead::pool
