// What the journal of a queue looks like in memory: which tasks there are, which of them is with whom, and
// their bytes. Made by the supervisor, which keeps it; written by one dispatcher after the other, a
// successor only after the confirmed death of the one before. Used through queue_journal.hpp (writing) and
// queue_journal_view.hpp (reading); knows no channel.
//
//   0      header   {magic, version, layout, total size, slots, payload bytes, workers}
//   128    pushed, finished                                  figures
//   256    dropped                                           {turn, 2 x {dead letters, last task}}
//   384    requeues                                          by the brain: rung after each requeue
//   4096   tallies, one line of 64 bytes for each worker     {turn, 2 x {given up, last task}}
//   ...    slots, 64 bytes each         {word, task, offset, bytes, deal, since, aside, operation}
//   ...    payload, page-aligned                             messages, ready to be sent
//   ...    dead letters                                      the same, of tasks that are out of play
//
// word: {state:8, flags:8, blamed:16, worker:16, epoch:16}. One store of it is one transition:
//
//   free ──push──> pending ──deal──> dealt ──start──> started ──answer──> answered ──finish──> free
//                     ^                │                 │                    │
//                     ├──── unblamed ──┴─────────────────┤                    │ its result is lost
//                     ├───────────── blamed ─────────────┤                    │
//                     └──────────────────────────────────│────────────────────┘
//                                                        │ blamed for the last time
//                                                        v
//                                                     given_up {counted, told, seen}
//                                                        │ set aside                    no room
//                          requeued <──── by the brain ── letter ──────────> dropped ────> free
//                             └──readmit──> pending, without blame
//
// Invariants, of every state that a kill can leave:
// (J1) A slot whose state is not free is a task, with all its words and bytes in place.
// (J2) No two tasks have the same number, none is above pushed + 1, and their bytes do not overlap:
//      those of a letter and of a requeued one lie at `aside` in the dead letters' area, all others'
//      at `offset` in the payload.
// (J3) `deal` is the index, on the worker's channel, of the message that carries the task; it is stored
//      before the slot says dealt, and that before the message is sent. So a deal beyond the channel's
//      last committed message was never sent, and all others were.
// (J4) All tasks that are dealt to or started by one worker are with one incarnation (`epoch`), and at
//      most one of them is started. An answered one may be an earlier incarnation's.
// (J5) In every state from pending to answered, `blamed` is below the limit of the queue.
// (J6) A tally is raised after its slot said given_up and before that says counted, to what `aside` says
//      since before. So each time that a task is given up is counted once. `dropped` is raised before
//      its slot is free, and names the task that raised it: no task is dropped twice.
// (J7) A letter has two masters: its dispatcher may drop it, the brain may requeue it. Each does so by a
//      compare-exchange of the word, so one of them does. `operation` is the brain's until the slot says
//      requeued: who asked for that, and in its lowest bit, the dispatcher's, whether it is carried out.
//
// | tag          | writer     | reader             | visible after it      | killed in between            |
// |--------------|------------|--------------------|-----------------------|------------------------------|
// | queue.slot   | dispatcher | successor, brain   | all words of the slot | the state before: see above  |
// | queue.letter | brain      | dispatcher         | who asked             | not requeued: ask again      |
// | queue.bell   | brain      | dispatcher         | what was requeued     | the next brain rings it      |
// | queue.pushed | dispatcher | successor, brain   | nothing but the word  | one too few; (J2) allows it  |
// | queue.magic  | brain      | dispatcher, brain  | the header            | nobody has the journal yet   |
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ipc/segment_layout.hpp"

namespace bulkhead::ipc {

struct JournalHeader {
  static constexpr std::uint64_t magic_value = 0x31554551'44485042;  // "BPHDQEU1"
  static constexpr std::uint32_t version_value = 2;

  std::atomic<std::uint64_t> magic;
  std::atomic<std::uint32_t> version;
  std::atomic<std::uint32_t> layout;
  std::atomic<std::uint64_t> total_bytes;
  std::atomic<std::uint32_t> slots, workers;
  std::atomic<std::uint64_t> payload_bytes;
};

struct JournalPage {
  alignas(line_stride) JournalHeader header;
  alignas(line_stride) std::atomic<std::uint64_t> pushed;  // number of the newest task
  std::atomic<std::uint64_t> finished;                     // tasks that are over; dead letters are
  alignas(
      line_stride) Twin dropped;  // dead letters that there was no room for, the last one's number
  alignas(line_stride) std::atomic<std::uint64_t> requeues;  // counts, so that a change shows
};

struct alignas(cache_line) WorkerTally {
  Twin given_up;  // how many tasks, and the last one's number
};

struct alignas(cache_line) TaskSlot {
  std::atomic<std::uint64_t> word, task;
  std::atomic<std::uint64_t> offset, bytes;  // in the payload
  std::atomic<std::uint64_t> deal;
  std::atomic<std::uint64_t> since;      // when it was given up last: CLOCK_MONOTONIC, ns
  std::atomic<std::uint64_t> aside;      // (J6) while given_up; (J2) from then on
  std::atomic<std::uint64_t> operation;  // (J7)
};

inline constexpr std::size_t journal_page_bytes = 4096;
static_assert(std::is_standard_layout_v<JournalPage> && std::is_standard_layout_v<TaskSlot>);
static_assert(sizeof(JournalHeader) == 40 && offsetof(JournalPage, pushed) == 128 &&
              offsetof(JournalPage, finished) == 136 && offsetof(JournalPage, dropped) == 256 &&
              offsetof(JournalPage, requeues) == 384 && sizeof(JournalPage) <= journal_page_bytes);
static_assert(sizeof(WorkerTally) == 64 && sizeof(TaskSlot) == 64 &&
              offsetof(TaskSlot, deal) == 32 && offsetof(TaskSlot, operation) == 56);

enum class TaskState : std::uint8_t {
  free = 0,
  pending = 1,
  dealt = 2,
  started = 3,
  answered = 4,  // its result lies in the worker's memory, which is kept until we have let go of it
  given_up = 5,
  letter = 6,    // a dead letter: over, and kept to be looked at or requeued
  requeued = 7,  // by the brain; the dispatcher takes it back when there is room
  dropped = 8,   // there was no room for it among the dead letters
};

// Of a task that is given up: its worker's tally has it, the supervisor has confirmed it, the program at
// the queue's end has let go of it. With both of the last two it is over.
inline constexpr std::uint8_t task_counted = 1, task_told = 2, task_seen = 4;
inline constexpr std::uint64_t carried_out = 1;  // in `operation`: (J7)

struct TaskWord {
  TaskState state = TaskState::free;
  std::uint8_t flags = 0;
  std::uint16_t blamed = 0;  // deaths and failures so far
  std::uint16_t worker = 0;  // its instance
  std::uint16_t epoch = 0;   // ... and its incarnation on the link

  friend constexpr bool operator==(const TaskWord&, const TaskWord&) noexcept = default;
};
constexpr std::uint64_t pack(TaskWord word) noexcept {
  return std::uint64_t{static_cast<std::uint8_t>(word.state)} << 56 |
         std::uint64_t{word.flags} << 48 | std::uint64_t{word.blamed} << 32 |
         std::uint64_t{word.worker} << 16 | word.epoch;
}
constexpr TaskWord unpack_task(std::uint64_t word) noexcept {
  return {static_cast<TaskState>(word >> 56), static_cast<std::uint8_t>(word >> 48),
          static_cast<std::uint16_t>(word >> 32), static_cast<std::uint16_t>(word >> 16),
          static_cast<std::uint16_t>(word)};
}

// How large a journal is, and where its parts lie. The payload is the link's capacity, and small tasks
// fill the slots before it. Dead letters have slots and bytes of their own, so that they keep no task
// out: half of the capacity, which the largest message fits into, and memory only once they need it.
struct JournalShape {
  std::uint32_t slots = 0, workers = 0;
  std::uint64_t payload_bytes = 0;

  static constexpr std::uint32_t slots_min = 64, slots_max = 65536, workers_max = 8192,
                                 letters_max = 1024;
  static constexpr std::uint64_t bytes_a_slot = 256, payload_max = std::uint64_t{1} << 30;

  static constexpr JournalShape of(std::uint64_t capacity, std::uint32_t workers) noexcept {
    const std::uint64_t wanted = capacity / bytes_a_slot;
    const auto slots = wanted < slots_min ? slots_min : wanted > slots_max ? slots_max : wanted;
    return {static_cast<std::uint32_t>(slots), workers, capacity};
  }
  constexpr bool is_sound() const noexcept {
    return slots >= slots_min && slots <= slots_max && workers >= 1 && workers <= workers_max &&
           payload_bytes >= end_page_bytes && payload_bytes <= payload_max;
  }
  constexpr std::uint32_t letters() const noexcept {
    const std::uint32_t wanted = slots / 4;
    return wanted > letters_max ? letters_max : wanted;
  }
  constexpr std::uint32_t all_slots() const noexcept { return slots + letters(); }
  constexpr std::uint64_t letter_bytes() const noexcept {
    return (payload_bytes / 2 + 63) / 64 * 64;
  }
  constexpr std::size_t tallies_at() const noexcept { return journal_page_bytes; }
  constexpr std::size_t slots_at() const noexcept {
    return tallies_at() + std::size_t{workers} * sizeof(WorkerTally);
  }
  constexpr std::size_t payload_at() const noexcept {
    const std::size_t end = slots_at() + std::size_t{all_slots()} * sizeof(TaskSlot);
    return (end + journal_page_bytes - 1) / journal_page_bytes * journal_page_bytes;
  }
  constexpr std::size_t letters_at() const noexcept {
    return (payload_at() + payload_bytes + 63) / 64 * 64;
  }
  constexpr std::size_t total_bytes() const noexcept { return letters_at() + letter_bytes(); }
};

constexpr std::uint32_t journal_layout_hash() noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, as segment_layout_hash()
  for (const std::size_t word :
       {offsetof(JournalPage, pushed), offsetof(JournalPage, finished),
        offsetof(JournalPage, dropped), offsetof(JournalPage, requeues), sizeof(WorkerTally),
        sizeof(TaskSlot), offsetof(TaskSlot, task), offsetof(TaskSlot, offset),
        offsetof(TaskSlot, bytes), offsetof(TaskSlot, deal), offsetof(TaskSlot, since),
        offsetof(TaskSlot, aside), offsetof(TaskSlot, operation), journal_page_bytes,
        std::size_t{task_counted}, std::size_t{task_told}, std::size_t{task_seen}}) {
    hash = (hash ^ word) * 0x100000001b3;
  }
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

}  // namespace bulkhead::ipc
