#include "ipc/queue_journal.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ipc/end_page.hpp"
#include "ipc/queue_frame.hpp"
#include "ipc/queue_journal_view.hpp"

namespace bulkhead::ipc {
namespace {

constexpr std::uint64_t growth_bytes = std::uint64_t{256} << 10;

// The seals forbid another size, not pages inside it (memfd_create(2), fallocate(2)).
Result<void> allocate(int fd, std::uint64_t from, std::uint64_t bytes) {
  while (::fallocate(fd, 0, static_cast<off_t>(from), static_cast<off_t>(bytes)) != 0) {
    if (errno != EINTR) return errno_error(errno, "allocate memory for the journal of a queue");
  }
  return {};
}

bool is_aside(TaskState state) noexcept {
  return state == TaskState::letter || state == TaskState::requeued;
}

}  // namespace

Result<base::UniqueFd> QueueJournal::create(const std::string& name, const JournalShape& shape) {
  if (!shape.is_sound()) {
    return make_error(Errc::invalid_argument, name + ": no journal can have this size");
  }
  auto fd = base::make_memfd(("bulkhead:journal:" + name).substr(0, 240).c_str(), true);
  if (!fd) return fd.error();
  const std::size_t total = shape.total_bytes();
  if (::ftruncate(fd->get(), static_cast<off_t>(total)) != 0) {
    return errno_error(errno, "give the journal of " + name + " its size");
  }
  // All but the payload, which grows: nobody who writes a slot may meet a want of memory.
  if (auto done = allocate(fd->get(), 0, shape.payload_at()); !done) return done.error();
  auto region = base::MappedRegion::map(fd->get(), total, base::Access::read_write);
  if (!region) return region.error();
  if (::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_error(errno, "seal the journal of " + name);
  }
  auto& header = reinterpret_cast<JournalPage*>(region->data())->header;
  header.version.store(JournalHeader::version_value,
                       std::memory_order_relaxed);  // relaxed: before the magic
  header.layout.store(journal_layout_hash(),
                      std::memory_order_relaxed);                  // relaxed: before the magic
  header.total_bytes.store(total, std::memory_order_relaxed);      // relaxed: before the magic
  header.slots.store(shape.slots, std::memory_order_relaxed);      // relaxed: before the magic
  header.workers.store(shape.workers, std::memory_order_relaxed);  // relaxed: before the magic
  header.payload_bytes.store(shape.payload_bytes,
                             std::memory_order_relaxed);  // relaxed: before the magic
  // sync queue.magic: release; pairs with check_journal(); publishes the header
  header.magic.store(JournalHeader::magic_value, std::memory_order_release);
  return fd;
}

QueueJournal::QueueJournal(base::UniqueFd fd, base::MappedRegion region, JournalShape shape,
                           const JournalLimits& limits)
    : fd_(std::move(fd)),
      region_(std::move(region)),
      shape_(shape),
      limits_(limits),
      payload_(shape.payload_at(), shape.payload_bytes),
      aside_(shape.letters_at(), shape.letter_bytes()) {}

Result<QueueJournal> QueueJournal::take_over(base::UniqueFd fd, const JournalLimits& limits) {
  if (limits.max_attempts == 0) {
    return make_error(Errc::invalid_argument, "a queue needs a max_attempts of 1 or more");
  }
  const auto size = base::file_size(fd.get());
  if (!size) return size.error();
  if (*size == 0) return make_error(Errc::protocol_violation, "the journal of a queue is empty");
  auto region = base::MappedRegion::map(fd.get(), *size, base::Access::read_write);
  if (!region) return region.error();
  const auto shape = check_journal(fd.get(), *region);
  if (!shape) return shape.error();
  QueueJournal journal(std::move(fd), std::move(*region), *shape, limits);
  if (auto adopted = journal.adopt(); !adopted) return adopted.error();
  return journal;
}

Result<void> QueueJournal::adopt() {
  // sync queue.pushed: acquire; pairs with push(); shows nothing but the word
  pushed_ = page().pushed.load(std::memory_order_acquire);
  const std::uint64_t counted = pushed_;
  std::vector<std::uint16_t> epochs(shape_.workers, 0);
  std::vector<bool> has_started(shape_.workers, false);
  std::vector<SlotIndex> condemned;
  for (SlotIndex index = 0; index < shape_.all_slots(); ++index) {
    // sync queue.slot: acquire; pairs with store(); shows all words of the slot
    const std::uint64_t state = slot(index).word.load(std::memory_order_acquire) >> 56;
    if (state == 0) {
      free_slots_.push_back(index);
      continue;
    }
    if (state > static_cast<std::uint64_t>(TaskState::dropped)) {
      return damaged(index, "its state is none that there is");
    }
    if (task(index) == 0 || task(index) > counted + 1) {
      return damaged(index, "its number was never given");  // (J2)
    }
    if (auto adopted = adopt_slot(index, epochs, has_started); !adopted) return adopted;
    pushed_ = std::max(pushed_, task(index));
    if (state < static_cast<std::uint64_t>(TaskState::letter)) ++used_;
    if (state == static_cast<std::uint64_t>(TaskState::dropped)) condemned.push_back(index);
  }
  if (used_ > shape_.slots || letters_.size() > shape_.letters()) {
    return damaged(shape_.all_slots(),
                   "there are more tasks, or dead letters, than it has room for");
  }
  // The lowest slots go out first, as the lowest room does.
  std::reverse(free_slots_.begin(), free_slots_.end());
  // sync queue.pushed: release; pairs with adopt() and the view; nothing but the word
  page().pushed.store(pushed_, std::memory_order_release);
  note_finished();
  for (const SlotIndex index : condemned) drop(index);
  return {};
}

Result<void> QueueJournal::adopt_slot(SlotIndex index, std::vector<std::uint16_t>& epochs,
                                      std::vector<bool>& has_started) {
  const TaskWord now = word(index);
  if (!by_task_.emplace(task(index), index).second) return damaged(index, "its number is double");
  if (now.state == TaskState::dropped) return {};
  if (auto adopted = adopt_bytes(index, now.state); !adopted) return adopted;
  const bool over = now.state >= TaskState::given_up;
  if (over ? now.blamed == 0 : now.blamed >= limits_.max_attempts) {
    return damaged(index, "it has been blamed as often as it cannot have been");  // (J5)
  }
  if (now.state == TaskState::pending) return {};
  if (now.worker >= shape_.workers || now.epoch == 0) {
    return damaged(index, "it is with a worker that there is not");
  }
  if (is_aside(now.state)) {
    letters_.emplace(since(index), index);
    if (now.state == TaskState::requeued) requeued_.push_back(index);
    return {};
  }
  if (over) {
    count_given_up(index);
    return {};
  }
  if (now.state == TaskState::answered) return {};
  auto& epoch = epochs[now.worker];
  const bool second_start = now.state == TaskState::started && has_started[now.worker];
  if ((epoch != 0 && epoch != now.epoch) || second_start) {
    return damaged(index, "its worker has two lives, or two tasks begun");  // (J4)
  }
  epoch = now.epoch;
  if (now.state == TaskState::started) has_started[now.worker] = true;
  return {};
}

Result<void> QueueJournal::adopt_bytes(SlotIndex index, TaskState state) {
  const auto& words = slot(index);
  const bool aside = is_aside(state);
  // relaxed: after the slot's word
  const std::uint64_t offset = (aside ? words.aside : words.offset).load(std::memory_order_relaxed);
  const std::uint64_t bytes =
      words.bytes.load(std::memory_order_relaxed);  // relaxed: after the slot's word
  if (bytes < queue_frame_bytes || bytes > limits_.message_max) {
    return damaged(index, "it is larger or smaller than a task can be");
  }
  Area& area = aside ? aside_ : payload_;
  if (!area.room.take_at(offset, bytes)) return damaged(index, "its bytes lie where others are");
  area.grown = std::max(area.grown, offset + bytes);
  return {};
}

Error QueueJournal::damaged(SlotIndex index, const char* what) const {
  return make_error(Errc::protocol_violation,
                    "the journal of the queue was written over, in slot " + std::to_string(index) +
                        ": " + what + "; its tasks are lost: stop the system and start it anew");
}

WorkerTally& QueueJournal::tally(std::uint16_t worker) const noexcept {
  return reinterpret_cast<WorkerTally*>(region_.data() + shape_.tallies_at())[worker];
}

TaskSlot& QueueJournal::slot(SlotIndex index) const noexcept {
  return reinterpret_cast<TaskSlot*>(region_.data() + shape_.slots_at())[index];
}

void QueueJournal::store(SlotIndex index, TaskWord next) noexcept {
  // sync queue.slot: release; pairs with adopt(); publishes all words of the slot, and its bytes
  slot(index).word.store(pack(next), std::memory_order_release);
}

TaskWord QueueJournal::word(SlotIndex index) const noexcept {
  // relaxed: our own last store, or read after adopt()'s acquire.
  return unpack_task(slot(index).word.load(std::memory_order_relaxed));
}
TaskId QueueJournal::task(SlotIndex index) const noexcept {
  return slot(index).task.load(std::memory_order_relaxed);  // relaxed: as word()
}
std::uint64_t QueueJournal::deal_of(SlotIndex index) const noexcept {
  return slot(index).deal.load(std::memory_order_relaxed);  // relaxed: as word()
}
std::uint64_t QueueJournal::since(SlotIndex index) const noexcept {
  return slot(index).since.load(std::memory_order_relaxed);  // relaxed: as word()
}

std::byte* QueueJournal::place(const Area& area, std::uint64_t offset) const noexcept {
  return region_.data() + area.at + offset;
}

std::span<std::byte> QueueJournal::message(SlotIndex index) const noexcept {
  const auto& words = slot(index);
  const auto offset = words.offset.load(std::memory_order_relaxed);  // relaxed: as word()
  const auto bytes = words.bytes.load(std::memory_order_relaxed);    // relaxed: as word()
  return {place(payload_, offset), bytes};
}

std::optional<SlotIndex> QueueJournal::find(TaskId task) const noexcept {
  const auto found = by_task_.find(task);
  return found == by_task_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<SlotIndex> QueueJournal::tasks() const {
  std::vector<SlotIndex> all;
  all.reserve(by_task_.size());
  for (const auto& [task, index] : by_task_) all.push_back(index);
  return all;
}

Result<std::uint64_t> QueueJournal::take_room(Area& area, std::uint64_t bytes) {
  const auto offset = area.room.take(bytes);
  if (!offset) return make_error(Errc::would_block, {});
  const std::uint64_t end = *offset + bytes;
  if (end <= area.grown) return *offset;
  const std::uint64_t wanted =
      std::min((end + growth_bytes - 1) / growth_bytes * growth_bytes, area.bytes);
  if (auto done = allocate(fd_.get(), area.at + area.grown, wanted - area.grown); !done) {
    area.room.give_back(*offset, bytes);
    return make_error(Errc::out_of_budget, done.error().to_string());
  }
  area.grown = wanted;
  return *offset;
}

Result<SlotIndex> QueueJournal::push(std::span<const std::byte> bytes) {
  // What was requeued would wait for ever behind small tasks that fit where it does not.
  if (used_ == shape_.slots || !requeued_.empty()) return make_error(Errc::would_block, {});
  const std::uint64_t size = queue_frame_bytes + bytes.size();
  const auto offset = take_room(payload_, size);
  if (!offset) return offset.error();
  const SlotIndex index = free_slots_.back();
  free_slots_.pop_back();
  auto& words = slot(index);
  words.task.store(pushed_ + 1, std::memory_order_relaxed);  // relaxed: before store()
  words.offset.store(*offset, std::memory_order_relaxed);    // relaxed: before store()
  words.bytes.store(size, std::memory_order_relaxed);        // relaxed: before store()
  words.deal.store(0, std::memory_order_relaxed);            // relaxed: before store()
  words.operation.store(0, std::memory_order_relaxed);       // relaxed: before store()
  const auto to = message(index);
  if (!bytes.empty()) std::memcpy(to.data() + queue_frame_bytes, bytes.data(), bytes.size());
  store(index, {.state = TaskState::pending});
  ++pushed_;
  // sync queue.pushed: release; pairs with adopt() and the view; nothing but the word
  page().pushed.store(pushed_, std::memory_order_release);
  by_task_.emplace(pushed_, index);
  ++used_;
  return index;
}

void QueueJournal::deal(SlotIndex index, std::uint16_t worker, std::uint16_t epoch,
                        std::uint64_t deal) {
  TaskWord next = word(index);
  BULKHEAD_ASSERT(next.state == TaskState::pending && worker < shape_.workers && epoch != 0);
  slot(index).deal.store(deal, std::memory_order_relaxed);  // relaxed: before store()
  next.state = TaskState::dealt;
  next.worker = worker;
  next.epoch = epoch;
  store(index, next);
}

void QueueJournal::start(SlotIndex index) {
  TaskWord next = word(index);
  BULKHEAD_ASSERT(next.state == TaskState::dealt);
  next.state = TaskState::started;
  store(index, next);
}

void QueueJournal::answer(SlotIndex index) {
  TaskWord next = word(index);
  BULKHEAD_ASSERT(next.state == TaskState::started);
  next.state = TaskState::answered;
  store(index, next);
}

void QueueJournal::return_unblamed(SlotIndex index) {
  const TaskWord now = word(index);
  BULKHEAD_ASSERT(now.state == TaskState::dealt || now.state == TaskState::started ||
                  now.state == TaskState::answered);
  store(index, {.state = TaskState::pending, .blamed = now.blamed});
}

bool QueueJournal::return_blamed(SlotIndex index, std::uint64_t now_ns) {
  TaskWord next = word(index);
  BULKHEAD_ASSERT(next.state == TaskState::started);
  ++next.blamed;
  if (next.blamed < limits_.max_attempts) {
    store(index, {.state = TaskState::pending, .blamed = next.blamed});
    return true;
  }
  const auto tally_before = load_twin(tally(next.worker).given_up).value_or(TwinWords{0, 0});
  slot(index).since.store(now_ns, std::memory_order_relaxed);  // relaxed: before store()
  slot(index).aside.store(tally_before.first + 1,
                          std::memory_order_relaxed);  // relaxed: before store()
  next.state = TaskState::given_up;
  store(index, next);
  count_given_up(index);
  return false;
}

// (J6). Also for a task whose dispatcher was killed anywhere between those two stores.
void QueueJournal::count_given_up(SlotIndex index) {
  const TaskWord now = word(index);
  if ((now.flags & task_counted) != 0) return;
  auto& tally_of = tally(now.worker).given_up;
  const auto before = load_twin(tally_of).value_or(TwinWords{0, 0});
  const auto after = slot(index).aside.load(std::memory_order_relaxed);  // relaxed: as word()
  if (before.first < after) store_twin(tally_of, after, task(index));
  mark(index, task_counted);
}

void QueueJournal::mark(SlotIndex index, std::uint8_t flag) {
  TaskWord next = word(index);
  BULKHEAD_ASSERT(next.state == TaskState::given_up);
  next.flags |= flag;
  store(index, next);
}

void QueueJournal::finish(SlotIndex index) {
  BULKHEAD_ASSERT(word(index).state != TaskState::free);
  const auto& words = slot(index);
  const auto offset = words.offset.load(std::memory_order_relaxed);  // relaxed: as word()
  const auto bytes = words.bytes.load(std::memory_order_relaxed);    // relaxed: as word()
  free_slot(index);
  payload_.room.give_back(offset, bytes);
  --used_;
  note_finished();
}

void QueueJournal::free_slot(SlotIndex index) {
  by_task_.erase(task(index));
  store(index, {});
  free_slots_.push_back(index);
}

void QueueJournal::note_finished() noexcept {
  page().finished.store(pushed_ - used_, std::memory_order_relaxed);  // relaxed: a figure
}

std::uint64_t QueueJournal::given_up() const noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t worker = 0; worker < shape_.workers; ++worker) {
    const auto words = load_twin(tally(static_cast<std::uint16_t>(worker)).given_up);
    if (words) sum += words->first;
  }
  return sum;
}

}  // namespace bulkhead::ipc
