// The journal of a queue as its dispatcher has it: writes each transition, and takes over what a
// predecessor left, wherever that was killed. Used by QueueDispatcher; knows no channel. One thread.
#pragma once

#include <bulkhead/error.hpp>
#include <bulkhead/queue.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"
#include "ipc/free_ranges.hpp"
#include "ipc/queue_layout.hpp"

namespace bulkhead::ipc {

using SlotIndex = std::uint32_t;

struct JournalLimits {
  std::uint16_t max_attempts = 3;  // blamed so often, a task is given up; 1 or more
  std::size_t message_max = 0;     // bytes of a task's message, its frame included
};

class QueueJournal {
 public:
  // By the supervisor: fresh, of a size that cannot change. Not sealed against writing, because each
  // dispatcher goes on where its predecessor stopped (docs/adr/0004-one-journal-for-all-dispatchers.md).
  static Result<base::UniqueFd> create(const std::string& name, const JournalShape&);

  // By a dispatcher, when its predecessor is dead for certain. Takes the descriptor. Finishes what the
  // predecessor was killed in, as far as that needs nobody else.
  // Errors: those of check_journal; protocol_violation for one that breaks an invariant: somebody has
  // written over it.
  static Result<QueueJournal> take_over(base::UniqueFd, const JournalLimits&);

  // A new task with these bytes, behind room for the frame that it is sent with. Success is the commit.
  // Errors: would_block when there is no room now, or requeued tasks wait for it; out_of_budget when the
  // kernel has no memory.
  Result<SlotIndex> push(std::span<const std::byte> bytes);

  // Transitions; each asserts the state that it starts from, which is our own doing.
  void deal(SlotIndex, std::uint16_t worker, std::uint16_t epoch, std::uint64_t deal);
  void start(SlotIndex);
  void answer(SlotIndex);
  void return_unblamed(SlotIndex);
  // False: it was the last time, and the task is given up.
  bool return_blamed(SlotIndex, std::uint64_t now_ns);
  void mark(SlotIndex, std::uint8_t flag);  // of a task that is given up
  void finish(SlotIndex);                   // it is over, and its room is free

  // A given-up task that all have heard of becomes a dead letter, and its room is free. The oldest
  // letters go where it finds no room; what goes is counted.
  void set_aside(SlotIndex);
  // What the brain has requeued and what there is room for now: pending again, without blame.
  std::vector<SlotIndex> readmit();

  TaskWord word(SlotIndex) const noexcept;
  TaskId task(SlotIndex) const noexcept;
  std::uint64_t deal_of(SlotIndex) const noexcept;
  std::uint64_t since(SlotIndex) const noexcept;  // when it was given up last
  // What is sent, its frame included, which is the caller's to write. Not of a letter.
  std::span<std::byte> message(SlotIndex) const noexcept;
  std::optional<SlotIndex> find(TaskId) const noexcept;
  std::vector<SlotIndex> tasks() const;                 // all that there are, by number
  std::size_t count() const noexcept { return used_; }  // tasks that are not over
  std::size_t letters() const noexcept { return letters_.size(); }
  std::uint64_t dropped() const noexcept;  // letters, by all dispatchers

  std::uint64_t pushed() const noexcept { return pushed_; }
  std::uint64_t given_up() const noexcept;  // by all workers
  const JournalShape& shape() const noexcept { return shape_; }

 private:
  QueueJournal(base::UniqueFd fd, base::MappedRegion region, JournalShape shape,
               const JournalLimits& limits);

  JournalPage& page() const noexcept { return *reinterpret_cast<JournalPage*>(region_.data()); }
  WorkerTally& tally(std::uint16_t worker) const noexcept;
  TaskSlot& slot(SlotIndex index) const noexcept;
  void store(SlotIndex, TaskWord) noexcept;
  Result<void> adopt();
  Result<void> adopt_slot(SlotIndex, std::vector<std::uint16_t>& epochs,
                          std::vector<bool>& has_started);
  Result<void> adopt_bytes(SlotIndex, TaskState);
  Error damaged(SlotIndex, const char* what) const;
  void count_given_up(SlotIndex);
  void drop(SlotIndex);
  bool drop_oldest();
  bool exchange(SlotIndex, TaskState from, TaskState to) noexcept;
  void heed_requeues();
  void free_slot(SlotIndex);
  void note_finished() noexcept;

  // One of the two places for bytes.
  struct Area {
    Area(std::size_t begins, std::uint64_t size) : at(begins), bytes(size), room(size) {}
    std::size_t at;
    std::uint64_t bytes, grown = 0;  // grown: what surely has memory
    FreeRanges room;
  };
  // Errors: would_block when there is no room; out_of_budget when the kernel has no memory.
  Result<std::uint64_t> take_room(Area&, std::uint64_t bytes);
  std::byte* place(const Area&, std::uint64_t offset) const noexcept;

  base::UniqueFd fd_;
  base::MappedRegion region_;
  JournalShape shape_;
  JournalLimits limits_;
  Area payload_, aside_;
  std::vector<SlotIndex> free_slots_;
  std::map<TaskId, SlotIndex> by_task_;                    // letters included
  std::set<std::pair<std::uint64_t, SlotIndex>> letters_;  // by when they were given up
  std::deque<SlotIndex> requeued_;                         // that wait for room
  std::uint64_t pushed_ = 0;
  std::uint64_t requeues_seen_ = 0;
  std::size_t used_ = 0;
};

}  // namespace bulkhead::ipc
