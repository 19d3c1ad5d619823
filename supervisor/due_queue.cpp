// The indexed heap of timers.
#include "supervisor/due_queue.hpp"

namespace bulkhead::supervisor {

void DueQueue::reset(std::size_t slots) {
  heap_.clear();
  heap_.reserve(slots);
  place_.assign(slots, nowhere);
  due_.assign(slots, time_never);
}

// Equal times go by slot, so that the order does not depend on history.
bool DueQueue::earlier(std::uint32_t left, std::uint32_t right) const noexcept {
  const Slot a = heap_[left], b = heap_[right];
  return due_[a] != due_[b] ? due_[a] < due_[b] : a < b;
}

void DueQueue::put(std::uint32_t at, Slot slot) noexcept {
  heap_[at] = slot;
  place_[slot] = at;
}

void DueQueue::rise(std::uint32_t at) noexcept {
  while (at > 0 && earlier(at, (at - 1) / 2)) {
    const std::uint32_t parent = (at - 1) / 2;
    const Slot moved = heap_[at];
    put(at, heap_[parent]);
    put(parent, moved);
    at = parent;
  }
}

void DueQueue::sink(std::uint32_t at) noexcept {
  const auto size = static_cast<std::uint32_t>(heap_.size());
  for (;;) {
    std::uint32_t least = at;
    for (std::uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < size; ++child) {
      if (earlier(child, least)) least = child;
    }
    if (least == at) return;
    const Slot moved = heap_[at];
    put(at, heap_[least]);
    put(least, moved);
    at = least;
  }
}

void DueQueue::remove(Slot slot) noexcept {
  const std::uint32_t at = place_[slot];
  const Slot last = heap_.back();
  heap_.pop_back();
  place_[slot] = nowhere;
  if (last == slot) return;
  put(at, last);
  rise(at);
  sink(place_[last]);
}

void DueQueue::set(Slot slot, TimeNs due) {
  if (due_[slot] == due) return;
  due_[slot] = due;
  if (due == time_never) {
    remove(slot);
    return;
  }
  if (place_[slot] == nowhere) {
    heap_.push_back(slot);
    place_[slot] = static_cast<std::uint32_t>(heap_.size() - 1);
  }
  rise(place_[slot]);
  sink(place_[slot]);
}

}  // namespace bulkhead::supervisor
