// What a future and its pool share about a task. Used by futures and the dispatcher.
//
// | tag        | writer             | reader             | visible after it          | killed in between |
// |------------|--------------------|--------------------|---------------------------|-------------------|
// | task.ready | TaskState::finish  | TaskState::ready() | the answer or the failure | private memory    |
#pragma once

#include <bulkhead/future.hpp>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace bulkhead::pool {

class Engine;

// Where the futures of one pool wait. It outlives the pool as long as somebody does.
struct Waiting {
  std::mutex mutex;
  std::condition_variable changed;
  unsigned waiters = 0;
};

}  // namespace bulkhead::pool

namespace bulkhead::detail {

class TaskState {
 public:
  enum class Status : std::uint8_t { pending, answered, failed };

  TaskState(std::uint64_t number, std::weak_ptr<pool::Engine> pool,
            std::shared_ptr<pool::Waiting> waiting)
      : number_(number), pool_(std::move(pool)), waiting_(std::move(waiting)) {}

  // Once, by the dispatcher. The calls that were left for now are returned, to be made without a lock.
  using Calls = std::vector<std::function<void()>>;
  [[nodiscard]] Calls answer(TaskAnswer);
  [[nodiscard]] Calls fail(TaskFailure);

  Status status() const noexcept {
    // sync task.ready: acquire; pairs with finish(); shows answer and failure
    return status_.load(std::memory_order_acquire);
  }
  bool ready() const noexcept { return status() != Status::pending; }
  const TaskAnswer* answer() const noexcept {
    return status() == Status::answered ? &answer_ : nullptr;
  }
  const TaskFailure* failure() const noexcept {
    return status() == Status::failed ? &failure_ : nullptr;
  }
  std::uint64_t number() const noexcept { return number_; }
  std::shared_ptr<pool::Engine> pool() const noexcept { return pool_.lock(); }
  pool::Waiting& waiting() const noexcept { return *waiting_; }

  // False when it is ready: the caller makes the call itself.
  bool call_later(std::function<void()>& call);

 private:
  Calls finish(Status);

  const std::uint64_t number_;
  const std::weak_ptr<pool::Engine> pool_;
  const std::shared_ptr<pool::Waiting> waiting_;
  std::atomic<Status> status_{Status::pending};
  TaskAnswer answer_;
  TaskFailure failure_;
  Calls calls_;  // under waiting_->mutex
};

}  // namespace bulkhead::detail
