#include "ipc/queue_letters.hpp"

#include <algorithm>
#include <utility>

#include "ipc/end_page.hpp"
#include "ipc/queue_frame.hpp"
#include "ipc/queue_journal_view.hpp"

namespace bulkhead::ipc {

Result<QueueLetters> QueueLetters::map(int fd) {
  const auto size = base::file_size(fd);
  if (!size) return size.error();
  if (*size == 0) return make_error(Errc::protocol_violation, "the journal of a queue is empty");
  auto region = base::MappedRegion::map(fd, *size, base::Access::read_write);
  if (!region) return region.error();
  const auto shape = check_journal(fd, *region);
  if (!shape) return shape.error();
  return QueueLetters(std::move(*region), *shape);
}

TaskSlot& QueueLetters::slot(std::uint32_t index) const noexcept {
  return reinterpret_cast<TaskSlot*>(region_.data() + shape_.slots_at())[index];
}

std::vector<DeadLetter> QueueLetters::list() const {
  std::vector<DeadLetter> letters;
  for (std::uint32_t index = 0; index < shape_.all_slots(); ++index) {
    const TaskSlot& words = slot(index);
    // sync queue.slot: acquire; pairs with QueueJournal::store(); shows all words of the slot
    const auto word = words.word.load(std::memory_order_acquire);
    const TaskWord now = unpack_task(word);
    if (now.state != TaskState::letter && now.state != TaskState::given_up) continue;
    DeadLetter letter;
    letter.task = words.task.load(std::memory_order_relaxed);  // relaxed: after the slot's word
    letter.attempts = now.blamed;
    letter.worker = now.worker;
    letter.since_ns =
        words.since.load(std::memory_order_relaxed);  // relaxed: after the slot's word
    const auto bytes =
        words.bytes.load(std::memory_order_relaxed);  // relaxed: after the slot's word
    letter.bytes = bytes > queue_frame_bytes ? bytes - queue_frame_bytes : 0;
    letter.taken = now.state == TaskState::letter;
    letter.head = read_head(words, now.state);
    // relaxed: a letter whose slot was used again meanwhile is left out by it, or shown half for once
    if (words.word.load(std::memory_order_relaxed) == word) letters.push_back(std::move(letter));
  }
  std::sort(letters.begin(), letters.end(), [](const auto& a, const auto& b) {
    return std::pair(a.since_ns, a.task) < std::pair(b.since_ns, b.task);
  });
  return letters;
}

std::vector<std::byte> QueueLetters::read_head(const TaskSlot& words, TaskState state) const {
  const bool aside = state == TaskState::letter;
  // relaxed: after the slot's word
  const auto offset = (aside ? words.aside : words.offset).load(std::memory_order_relaxed);
  const auto bytes = words.bytes.load(std::memory_order_relaxed);  // relaxed: after the slot's word
  const std::uint64_t area = aside ? shape_.letter_bytes() : shape_.payload_bytes;
  if (bytes <= queue_frame_bytes || bytes > area || offset > area - bytes) return {};
  const std::byte* const from = region_.data() +
                                (aside ? shape_.letters_at() : shape_.payload_at()) + offset +
                                queue_frame_bytes;
  return {from, from + std::min<std::uint64_t>(head_bytes, bytes - queue_frame_bytes)};
}

// The slot that held a letter cannot hold another by the time of the exchange: to be set aside a task must
// be noted by the brain, whose one thread is here.
QueueLetters::Requeue QueueLetters::requeue(TaskId task, std::uint64_t operation) noexcept {
  const std::uint64_t asks = operation & ~carried_out;
  for (std::uint32_t index = 0; index < shape_.all_slots(); ++index) {
    TaskSlot& words = slot(index);
    // sync queue.slot: acquire; pairs with QueueJournal::store(); shows all words of the slot
    std::uint64_t word = words.word.load(std::memory_order_acquire);
    TaskWord next = unpack_task(word);
    if (next.state == TaskState::free) continue;
    if (words.task.load(std::memory_order_relaxed) != task) continue;   // relaxed: after the word
    const auto last = words.operation.load(std::memory_order_relaxed);  // relaxed: after the word
    const bool ours = asks != 0 && (last & ~carried_out) == asks;
    if (ours && ((last & carried_out) != 0 || next.state == TaskState::requeued))
      return Requeue::repeated;
    if (next.state == TaskState::given_up) return Requeue::not_taken;
    if (next.state != TaskState::letter) return Requeue::unknown;
    words.operation.store(asks, std::memory_order_relaxed);  // relaxed: before the exchange
    next.state = TaskState::requeued;
    // sync queue.letter: release; pairs with QueueJournal::heed_requeues(); publishes who asked
    const bool won =
        words.word.compare_exchange_strong(word, pack(next), std::memory_order_acq_rel);
    return won ? Requeue::done : Requeue::unknown;
  }
  return Requeue::unknown;
}

std::vector<TaskId> QueueLetters::asked_for(std::uint64_t operation) const {
  std::vector<TaskId> tasks;
  const std::uint64_t asks = operation & ~carried_out;
  for (std::uint32_t index = 0; asks != 0 && index < shape_.all_slots(); ++index) {
    const TaskSlot& words = slot(index);
    // sync queue.slot: acquire; pairs with QueueJournal::store(); shows all words of the slot
    const TaskWord now = unpack_task(words.word.load(std::memory_order_acquire));
    const auto last = words.operation.load(std::memory_order_relaxed);  // relaxed: after the word
    if (now.state == TaskState::free || (last & ~carried_out) != asks) continue;
    tasks.push_back(words.task.load(std::memory_order_relaxed));  // relaxed: after the word
  }
  return tasks;
}

void QueueLetters::ring() noexcept {
  // sync queue.bell: release; pairs with QueueJournal::heed_requeues(); publishes what was requeued
  page().requeues.fetch_add(1, std::memory_order_release);
}

QueueLetters::Dropped QueueLetters::dropped() const noexcept {
  const auto words = load_twin(page().dropped).value_or(TwinWords{0, 0});
  return {words.first, words.second};
}

}  // namespace bulkhead::ipc
