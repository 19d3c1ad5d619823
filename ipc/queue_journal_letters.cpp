// The part of QueueJournal that keeps dead letters, and takes back what the brain has requeued.
#include <algorithm>
#include <cstring>

#include "ipc/end_page.hpp"
#include "ipc/queue_journal.hpp"

namespace bulkhead::ipc {

// Its bytes move, and the slot says so with the same store that makes it a letter: killed before that,
// it is given up as before, and our successor sets it aside again.
void QueueJournal::set_aside(SlotIndex index) {
  TaskWord next = word(index);
  BULKHEAD_ASSERT(next.state == TaskState::given_up && (next.flags & task_counted) != 0);
  const auto from = message(index);
  auto& words = slot(index);
  const auto offset = words.offset.load(std::memory_order_relaxed);  // relaxed: as word()
  auto room = take_room(aside_, from.size());
  while ((!room && room.error().is(Errc::would_block)) || letters_.size() == shape_.letters()) {
    if (!drop_oldest()) break;
    if (!room) room = take_room(aside_, from.size());
  }
  if (!room || letters_.size() == shape_.letters()) {
    // Only where the kernel has no memory, or requeued tasks that wait for room fill the place.
    if (room) aside_.room.give_back(*room, from.size());
    next.state = TaskState::dropped;
    store(index, next);
    drop(index);
  } else {
    std::memcpy(place(aside_, *room), from.data(), from.size());
    words.aside.store(*room, std::memory_order_relaxed);  // relaxed: before store()
    next.state = TaskState::letter;
    store(index, next);
    letters_.emplace(since(index), index);
  }
  payload_.room.give_back(offset, from.size());
  --used_;
  note_finished();
}

// One that the brain requeued in this moment stays, and counts as a letter until it is readmitted.
bool QueueJournal::drop_oldest() {
  const auto oldest = std::find_if(letters_.begin(), letters_.end(), [&](const auto& letter) {
    return exchange(letter.second, TaskState::letter, TaskState::dropped);
  });
  if (oldest == letters_.end()) return false;
  const SlotIndex index = oldest->second;
  const auto& words = slot(index);
  aside_.room.give_back(words.aside.load(std::memory_order_relaxed),   // relaxed: as word()
                        words.bytes.load(std::memory_order_relaxed));  // relaxed: as word()
  letters_.erase(oldest);
  drop(index);
  return true;
}

// (J6). Also for a letter whose dispatcher was killed anywhere in here.
void QueueJournal::drop(SlotIndex index) {
  const auto before = load_twin(page().dropped).value_or(TwinWords{0, 0});
  if (before.second != task(index)) store_twin(page().dropped, before.first + 1, task(index));
  free_slot(index);
}

bool QueueJournal::exchange(SlotIndex index, TaskState from, TaskState to) noexcept {
  TaskWord next = word(index);
  if (next.state != from) return false;
  std::uint64_t expected = pack(next);
  next.state = to;
  // sync queue.slot: release; pairs with adopt(); publishes all words of the slot
  // sync queue.letter: acquire; pairs with QueueLetters::requeue(); shows who asked
  return slot(index).word.compare_exchange_strong(expected, pack(next), std::memory_order_acq_rel);
}

void QueueJournal::heed_requeues() {
  // sync queue.bell: acquire; pairs with QueueLetters::ring(); shows what was requeued before
  const auto requeues = page().requeues.load(std::memory_order_acquire);
  if (requeues == requeues_seen_) return;
  requeues_seen_ = requeues;
  for (const auto& [when, index] : letters_) {
    // sync queue.letter: acquire; pairs with QueueLetters::requeue(); shows who asked
    const TaskWord now = unpack_task(slot(index).word.load(std::memory_order_acquire));
    const bool known = std::find(requeued_.begin(), requeued_.end(), index) != requeued_.end();
    if (now.state == TaskState::requeued && !known) requeued_.push_back(index);
  }
}

std::vector<SlotIndex> QueueJournal::readmit() {
  heed_requeues();
  std::vector<SlotIndex> back;
  while (!requeued_.empty() && used_ < shape_.slots) {
    const SlotIndex index = requeued_.front();
    auto& words = slot(index);
    const auto bytes = words.bytes.load(std::memory_order_relaxed);  // relaxed: as word()
    const auto aside = words.aside.load(std::memory_order_relaxed);  // relaxed: as word()
    const auto room = take_room(payload_, bytes);
    if (!room) break;
    std::memcpy(place(payload_, *room), place(aside_, aside), bytes);
    words.offset.store(*room, std::memory_order_relaxed);  // relaxed: before store()
    const auto asked =
        words.operation.load(std::memory_order_relaxed);  // relaxed: after its letter
    words.operation.store(asked | carried_out,
                          std::memory_order_relaxed);  // relaxed: before store()
    store(index, {.state = TaskState::pending});
    aside_.room.give_back(aside, bytes);
    letters_.erase({since(index), index});
    requeued_.pop_front();
    ++used_;
    note_finished();
    back.push_back(index);
  }
  return back;
}

std::uint64_t QueueJournal::dropped() const noexcept {
  return load_twin(page().dropped).value_or(TwinWords{0, 0}).first;
}

}  // namespace bulkhead::ipc
