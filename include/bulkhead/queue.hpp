// Work with leases: one worker pushes tasks, N workers do them, and the death of any of them, or of all,
// loses none. From Worker::queue(), for a link of "type": "queue".
//
// A task is executed at least once and completed exactly once: its number names one completion, however
// often it was begun. Where a worker dies, the one task that it had begun is blamed for it; what else it
// held comes again without blame. A task that was blamed `max_attempts` times is given up: its completion
// says quarantined(), and all others go on. It is kept as a dead letter; an operator who requeues it
// (`bulkhead queue`) gives it fresh attempts, and its number one more completion.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/message.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead {
namespace ipc {
class QueueConsumer;
class QueueDispatcher;
struct QueueOutcome;
}  // namespace ipc

// Counts the tasks of a queue from 1, without holes, over all incarnations of the worker that pushes.
using TaskId = std::uint64_t;

struct QueueStats {
  std::uint64_t pushed = 0;  // by all incarnations
  std::uint64_t outstanding =
      0;                      // of them: not over; completions that nobody has let go of included
  std::uint64_t waiting = 0;  // of those: with no worker just now
  std::uint64_t quarantined = 0;   // given up, by all incarnations; twice if requeued in between
  std::uint64_t dead_letters = 0;  // of them: kept, for an operator to look at and to requeue
  std::uint64_t stale = 0;  // what came about a task that had gone to another worker, or was over
  std::uint64_t violations = 0;  // what the other ends did against the protocol
};

// How a task ended. Ownership: keeps its queue alive. Threads: as the queue it came from.
// Acknowledging: as a Message: destroyed normally, or by acknowledge(), the task is over and its room
//   free; destroyed while an exception unwinds, or by release(), next_completion() gives it again.
// After a crash: what was not acknowledged comes again to the successor, with redelivered().
class Completion {
 public:
  Completion(std::shared_ptr<ipc::QueueDispatcher>, std::unique_ptr<ipc::QueueOutcome>) noexcept;
  Completion(Completion&&) noexcept;
  Completion& operator=(Completion&&) noexcept;
  ~Completion();

  TaskId task() const noexcept;
  // The result: memory of the worker, which may still write to it. Empty when quarantined().
  std::span<const std::byte> bytes() const noexcept;
  std::vector<std::byte> copy() const { return {bytes().begin(), bytes().end()}; }
  // No worker survived it, or could do it; the last word unless an operator requeues it.
  bool quarantined() const noexcept;
  std::uint32_t attempts() const noexcept;  // the last one included
  std::string_view worker()
      const noexcept;                 // the instance that did it, or that it failed with last
  bool redelivered() const noexcept;  // may have been given before, here or to a predecessor

  void acknowledge() noexcept;
  void release() noexcept;

 private:
  void settle() noexcept;
  std::shared_ptr<ipc::QueueDispatcher> queue_;  // null once settled
  std::unique_ptr<ipc::QueueOutcome> outcome_;
  int uncaught_ = 0;
};

// A task to do. Ownership: keeps its queue alive. Threads: as the queue it came from.
// Giving it back: destroyed without complete(), or by release(), it goes to whichever worker is free,
//   without blame; destroyed while an exception unwinds, it is blamed as if it had killed this worker.
// After a crash of this worker, of whatever cause: blamed. Held for longer than the link's `lease_timeout`,
//   it is the crash: this worker is killed, and complete() fails with stopped if it comes first.
class Lease {
 public:
  Lease(std::shared_ptr<ipc::QueueConsumer>, Message, TaskId, std::uint32_t attempt) noexcept;
  Lease(Lease&&) noexcept = default;
  Lease& operator=(Lease&&) noexcept;
  ~Lease();

  TaskId task() const noexcept { return task_; }
  std::uint32_t attempt() const noexcept { return attempt_; }  // 1: nobody was blamed before
  // Memory of the worker that pushed, which may still write to it. Empty once the lease is over.
  std::span<const std::byte> bytes() const noexcept;
  std::vector<std::byte> copy() const { return {bytes().begin(), bytes().end()}; }

  // Success is the commit: the result survives the death of either end. `result` may lie in bytes().
  // Blocking: while results that the other end has not taken fill the link.
  // Errors: timed_out, stopped, message_too_big, protocol_violation; the lease goes on then, unless it
  //   ran out.
  //   invalid_argument when it is over.
  [[nodiscard]] Result<void> complete(std::span<const std::byte> result = {},
                                      Deadline = Deadline::never());
  void release() noexcept;

 private:
  void settle() noexcept;
  std::shared_ptr<ipc::QueueConsumer> queue_;  // null once over
  Message message_;
  TaskId task_;
  std::uint32_t attempt_;
  int uncaught_;
};

// One end of a queue. The worker at `from` pushes and takes completions, a worker at `to` leases; what
// is the other end's answers invalid_argument.
// Threads: one at a time, completions and leases included. There is no thread behind it: tasks are dealt,
//   and what workers say is taken in, inside push() and next_completion(). A worker at `to` has a few
//   tasks in hand, so that it need not wait for that.
// Errors: stopped, timed_out by the deadline; would_block with Deadline::now().
// After a crash: a successor finds everything as it was; stats().pushed tells where to number on.
class Queue {
 public:
  explicit Queue(std::shared_ptr<ipc::QueueDispatcher>) noexcept;
  explicit Queue(std::shared_ptr<ipc::QueueConsumer>) noexcept;

  // Success is the commit: from here on the task survives the death of everybody but the keeper.
  // Blocking: while the tasks that are not over fill the link's `capacity`, which is how a slow worker
  //   slows down who pushes.
  // Errors: would_block when it is full and a completion is ready: room comes from letting go of
  //   completions, so take some first. message_too_big; out_of_budget when the kernel has no memory.
  [[nodiscard]] Result<TaskId> push(std::span<const std::byte> bytes, Deadline = Deadline::never());
  [[nodiscard]] Result<TaskId> try_push(std::span<const std::byte> bytes);  // would_block when full
  // The next task that is over, in no particular order; any number may be out at a time.
  [[nodiscard]] Result<Completion> next_completion(Deadline = Deadline::never());

  // The next task for this worker: one at a time, so that a death has one suspect.
  // Errors: invalid_argument while a lease is out; protocol_violation for a message that is no task.
  [[nodiscard]] Result<Lease> lease(Deadline = Deadline::never());

  std::size_t message_max() const noexcept;  // bytes of a task, and of a result
  QueueStats stats() const;  // of the end at `from`: the other knows stale and violations

 private:
  std::shared_ptr<ipc::QueueDispatcher> dispatcher_;
  std::shared_ptr<ipc::QueueConsumer> consumer_;
};

}  // namespace bulkhead
