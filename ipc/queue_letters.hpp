// The dead letters of a queue as the supervisor has them: looks at them, and puts one back into play, which
// is the only word of a journal that its dispatcher does not write (docs/adr/0005-the-brain-requeues.md).
// Used by the brain; knows no message and no worker. One thread.
#pragma once

#include <bulkhead/error.hpp>
#include <bulkhead/queue.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/mapped_region.hpp"
#include "ipc/queue_layout.hpp"

namespace bulkhead::ipc {

struct DeadLetter {
  TaskId task = 0;
  std::uint32_t attempts = 0;
  std::uint32_t worker = 0;    // the instance that it was blamed on last
  std::uint64_t since_ns = 0;  // when it was given up
  std::uint64_t bytes = 0;     // its size, the frame not counted
  bool taken = false;  // false: the program has not let go of its completion, or not been told
  std::vector<std::byte> head;  // what it begins with
};

// After a crash of the brain: ring() once, and every requeue that a predecessor committed is carried out.
class QueueLetters {
 public:
  static constexpr std::size_t head_bytes = 64;

  // Errors: those of check_journal.
  static Result<QueueLetters> map(int fd);  // borrowed

  // By the time at which they were given up. Memory of a dispatcher: whatever it pleased to write.
  std::vector<DeadLetter> list() const;

  enum class Requeue : std::uint8_t {
    done,       // committed, whoever dies from here on
    repeated,   // it was done by this operation before
    not_taken,  // its program still has the completion that says that it is given up
    unknown,    // no dead letter, or dropped in this moment
  };
  // `operation` names who asks, so that a request that is made again does nothing twice; 0: nobody.
  Requeue requeue(TaskId, std::uint64_t operation) noexcept;
  // What requeue() would call repeated, to answer a request about all letters that is made again.
  std::vector<TaskId> asked_for(std::uint64_t operation) const;
  // So that the dispatcher looks for what was requeued.
  void ring() noexcept;

  struct Dropped {
    std::uint64_t count = 0;  // letters that there was no room for
    TaskId last = 0;
  };
  Dropped dropped() const noexcept;

 private:
  QueueLetters(base::MappedRegion region, JournalShape shape) noexcept
      : region_(std::move(region)), shape_(shape) {}
  JournalPage& page() const noexcept { return *reinterpret_cast<JournalPage*>(region_.data()); }
  TaskSlot& slot(std::uint32_t index) const noexcept;
  std::vector<std::byte> read_head(const TaskSlot&, TaskState) const;

  base::MappedRegion region_;
  JournalShape shape_;
};

}  // namespace bulkhead::ipc
