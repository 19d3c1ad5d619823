#include "supervisor/state_region.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

// The table of sync points stands in state_layout.hpp.
namespace bulkhead::supervisor {
namespace {

using state_layout::Layout;

static_assert(std::is_trivially_copyable_v<InstanceState>);
static_assert(std::is_trivially_copyable_v<GroupState> &&
              sizeof(GroupState) <= sizeof(state_layout::InstanceBytes) &&
              groups_max == state_layout::group_count);
static_assert(sizeof(InstanceState) <= sizeof(state_layout::InstanceBytes),
              "an instance record no longer fits its slot: enlarge state_layout::InstanceSlot");

// (S1): the copy that the stamp does not name is free to be scribbled over.
template <class Record>
void save_record(state_layout::DoubleBuffer<Record>& buffer, const void* bytes,
                 std::size_t size) noexcept {
  // relaxed: we are the only writer; a predecessor is dead before we run
  const auto next = buffer.stamp.load(std::memory_order_relaxed) + 1;
  std::memcpy(&buffer.copies[next & 1], bytes, size);
  // sync state.record: release; pairs with acquire in load_record; publishes the copy
  buffer.stamp.store(next, std::memory_order_release);
}

template <class Value, class Record>
std::optional<Value> load_record(const state_layout::DoubleBuffer<Record>& buffer) noexcept {
  // sync state.record: acquire; pairs with release in save_record; shows the copy
  const auto stamp = buffer.stamp.load(std::memory_order_acquire);
  if (stamp == 0) return std::nullopt;
  std::array<std::byte, sizeof(Value)> bytes;
  std::memcpy(bytes.data(), &buffer.copies[stamp & 1], sizeof(Value));
  return std::bit_cast<Value>(bytes);
}

using EventValues = std::array<std::uint64_t, sizeof(EventRecord) / 8>;

}  // namespace

bool claim_slot(void* ticket, pid_t pid) noexcept {
  const auto& mine = *static_cast<const ClaimTicket*>(ticket);
  for (char* const text : mine.pid_texts) {
    if (text != nullptr) *std::to_chars(text, text + 10, ::getpid()).ptr = '\0';
  }
  auto expected = state_layout::claim_word(mine.generation, 0);
  // sync state.claim: acq_rel; pairs with acquire in StateRegion::claim and the keeper; the word alone
  return mine.word->compare_exchange_strong(
      expected, state_layout::claim_word(mine.generation, pid), std::memory_order_acq_rel,
      std::memory_order_relaxed);  // relaxed: a loser reads nothing
}

Result<base::UniqueFd> StateRegion::create() {
  auto fd = base::make_memfd("bulkhead-state", true);
  if (!fd) return fd.error();
  if (::ftruncate(fd->get(), sizeof(Layout)) != 0)
    return errno_error(errno, "size the state memory");
  if (::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_error(errno, "seal the state memory");
  }
  auto region = base::MappedRegion::map(fd->get(), sizeof(Layout), base::Access::read_write);
  if (!region) return region.error();
  auto& layout = *reinterpret_cast<Layout*>(region->data());
  layout.header.magic = state_layout::magic;
  layout.header.version = state_layout::version;
  return std::move(*fd);
}

Result<StateRegion> StateRegion::map(int fd) {
  const auto size = base::file_size(fd);
  if (!size) return size.error();
  if (*size != sizeof(Layout)) {
    return make_error(Errc::version_mismatch, "the state memory has " + std::to_string(*size) +
                                                  " bytes, this program expects " +
                                                  std::to_string(sizeof(Layout)));
  }
  auto region = base::MappedRegion::map(fd, sizeof(Layout), base::Access::read_write);
  if (!region) return region.error();
  StateRegion state;
  state.region_ = std::move(*region);
  auto& header = state.layout().header;
  if (header.instance_bytes == 0) header.instance_bytes = sizeof(InstanceState);
  if (header.magic != state_layout::magic || header.version != state_layout::version ||
      header.instance_bytes != sizeof(InstanceState)) {
    return make_error(Errc::version_mismatch,
                      "the state memory was written by another version (layout " +
                          std::to_string(header.version) + ", " +
                          std::to_string(header.instance_bytes) +
                          " bytes an instance); stop the system and start it anew");
  }
  return state;
}

state_layout::Layout& StateRegion::layout() const noexcept {
  return *reinterpret_cast<Layout*>(region_.data());
}

void StateRegion::set_seats(std::vector<Slot> by_slot) {
  seats_ = std::move(by_slot);
  slots_.clear();
  for (Slot slot = 0; slot < seats_.size(); ++slot) slots_[seats_[slot]] = slot;
}

Slot StateRegion::seat(Slot slot) const noexcept {
  if (seats_.empty() || slot >= first_internal_slot) return slot;
  BULKHEAD_ASSERT(slot < seats_.size());
  return seats_[slot];
}

std::optional<Slot> StateRegion::slot_at(Slot seat) const noexcept {
  if (seats_.empty() || seat >= first_internal_slot) return seat;
  const auto found = slots_.find(seat);
  return found == slots_.end() ? std::nullopt : std::optional(found->second);
}

void StateRegion::clear_seat(Slot seat) noexcept {
  BULKHEAD_ASSERT(seat < state_layout::worker_slots);
  InstanceState fresh;
  // sync state.claim: acquire; pairs with acq_rel in claim_slot and claim_next; the word alone
  const auto word = layout().claims[seat].load(std::memory_order_acquire);
  fresh.generation = state_layout::claim_generation(word);
  save_record(layout().instances[seat], &fresh, sizeof fresh);
}

Claim StateRegion::claim(Slot slot) const noexcept { return claim_at(seat(slot)); }

Claim StateRegion::claim_at(Slot seat) const noexcept {
  BULKHEAD_ASSERT(seat < state_layout::slot_count);
  // sync state.claim: acquire; pairs with acq_rel in claim_slot and claim_next; the word alone
  const auto word = layout().claims[seat].load(std::memory_order_acquire);
  return {state_layout::claim_generation(word), state_layout::claim_pid(word)};
}

Claim StateRegion::settle(Slot slot) noexcept {
  const Claim seen = claim(slot);
  if (seen.generation == 0 || seen.pid != 0) return seen;
  auto intent = state_layout::claim_word(seen.generation, 0);
  // sync state.claim: acq_rel; pairs with acquire in StateRegion::claim and the keeper; the word alone
  layout().claims[seat(slot)].compare_exchange_strong(
      intent, state_layout::claim_word(seen.generation, state_layout::ended_pid),
      std::memory_order_acq_rel, std::memory_order_relaxed);  // relaxed: looked at again
  return claim(slot);
}

Generation StateRegion::bump(Slot slot, Generation at_least) noexcept {
  return claim_next(slot, at_least, 0);
}

Generation StateRegion::take_over(Slot slot, Generation at_least, std::int32_t pid) noexcept {
  return claim_next(slot, at_least, pid);
}

Generation StateRegion::claim_next(Slot slot, Generation at_least, std::int32_t pid) noexcept {
  BULKHEAD_ASSERT(slot < state_layout::slot_count);
  auto& word = layout().claims[seat(slot)];
  auto seen = word.load(std::memory_order_relaxed);  // relaxed: the exchange checks it
  for (;;) {
    const auto next = std::max(state_layout::claim_generation(seen) + 1, at_least);
    // sync state.claim: acq_rel; pairs with acquire in StateRegion::claim and the keeper; the word alone
    if (word.compare_exchange_weak(seen, state_layout::claim_word(next, pid),
                                   std::memory_order_acq_rel,
                                   std::memory_order_relaxed)) {  // relaxed: tried again
      return next;
    }
  }
}

void StateRegion::end(Slot slot, Generation generation) noexcept { end_at(seat(slot), generation); }

void StateRegion::end_at(Slot seat, Generation generation) noexcept {
  BULKHEAD_ASSERT(seat < state_layout::slot_count);
  auto& word = layout().claims[seat];
  auto seen = word.load(std::memory_order_relaxed);  // relaxed: the exchange checks it
  while (state_layout::claim_generation(seen) == generation && state_layout::claim_pid(seen) > 0) {
    // sync state.claim: acq_rel; pairs with acquire in StateRegion::claim and the keeper; the word alone
    if (word.compare_exchange_weak(seen,
                                   state_layout::claim_word(generation, state_layout::ended_pid),
                                   std::memory_order_acq_rel,
                                   std::memory_order_relaxed)) {  // relaxed: tried again
      return;
    }
  }
}

ClaimTicket StateRegion::ticket(Slot slot, Generation generation) noexcept {
  BULKHEAD_ASSERT(slot < state_layout::slot_count);
  return {&layout().claims[seat(slot)], generation};
}

std::atomic<std::uint64_t>* StateRegion::failure_word(Slot slot) noexcept {
  BULKHEAD_ASSERT(slot < state_layout::slot_count);
  return &layout().failures[seat(slot)];
}

std::optional<base::ExecFailure> StateRegion::exec_failure(Slot slot,
                                                           Generation generation) const noexcept {
  BULKHEAD_ASSERT(slot < state_layout::slot_count);
  // sync spawn.failure: acquire; pairs with release in the vfork child; the word alone
  const auto word = layout().failures[seat(slot)].load(std::memory_order_acquire);
  const auto failure = base::unpack_failure(word);
  if (base::failure_generation(word) != generation || failure.stage == base::SpawnStage::none) {
    return std::nullopt;
  }
  return failure;
}

void StateRegion::save(Slot slot, const InstanceState& state) noexcept {
  BULKHEAD_ASSERT(slot < state_layout::slot_count);
  save_record(layout().instances[seat(slot)], &state, sizeof state);
}

std::optional<InstanceState> StateRegion::load(Slot slot) const noexcept {
  BULKHEAD_ASSERT(slot < state_layout::slot_count);
  return load_record<InstanceState>(layout().instances[seat(slot)]);
}

void StateRegion::save_group(GroupIndex group, const GroupState& state) noexcept {
  BULKHEAD_ASSERT(group < state_layout::group_count);
  save_record(layout().groups[group], &state, sizeof state);
}

std::optional<GroupState> StateRegion::load_group(GroupIndex group) const noexcept {
  BULKHEAD_ASSERT(group < state_layout::group_count);
  return load_record<GroupState>(layout().groups[group]);
}

void StateRegion::save_system(const SystemRecord& record) noexcept {
  save_record(layout().system, &record, sizeof record);
}

std::optional<SystemRecord> StateRegion::load_system() const noexcept {
  return load_record<SystemRecord>(layout().system);
}

void StateRegion::beat() noexcept {
  // relaxed: the keeper only asks whether it changed
  layout().header.beat.fetch_add(1, std::memory_order_relaxed);
}

void StateRegion::set_taken_over(std::uint32_t brain_generation) noexcept {
  // sync state.taken: release; pairs with acquire in the keeper; nothing else, it only compares
  layout().header.taken_over.store(brain_generation, std::memory_order_release);
}

std::uint64_t StateRegion::append(EventRecord record) noexcept {
  auto& header = layout().header;
  // relaxed: we are the only writer
  const auto sequence =
      std::max<std::uint64_t>(header.next_event.load(std::memory_order_relaxed), 1);
  record.sequence = sequence;
  const auto values = std::bit_cast<EventValues>(record);
  auto& words = layout().events[sequence % state_layout::event_count];
  words[0].store(0, std::memory_order_relaxed);  // relaxed: ordered by the fence below
  // sync state.event: release fence; pairs with the acquire fence in read_event; a reader that sees a new
  // word also sees that the old sequence number is gone
  std::atomic_thread_fence(std::memory_order_release);
  for (std::size_t i = 1; i < words.size(); ++i) {
    words[i].store(values[i], std::memory_order_relaxed);  // relaxed: published by word 0
  }
  // sync state.event: release; pairs with acquire in read_event; publishes the event's words
  words[0].store(sequence, std::memory_order_release);
  // sync state.event: release; pairs with acquire in next_event; publishes the event
  header.next_event.store(sequence + 1, std::memory_order_release);
  return sequence;
}

std::optional<EventRecord> StateRegion::read_event(std::uint64_t sequence) const noexcept {
  if (sequence == 0 || sequence >= next_event()) return std::nullopt;
  const auto& words = layout().events[sequence % state_layout::event_count];
  EventValues values{};
  // sync state.event: acquire; pairs with release in append; shows the event's words
  values[0] = words[0].load(std::memory_order_acquire);
  for (std::size_t i = 1; i < words.size(); ++i) {
    values[i] = words[i].load(std::memory_order_relaxed);  // relaxed: checked by the second look
  }
  // sync state.event: acquire fence; pairs with the release fence in append; orders the second look
  std::atomic_thread_fence(std::memory_order_acquire);
  // relaxed: ordered by the fence
  if (values[0] != sequence || words[0].load(std::memory_order_relaxed) != sequence) {
    return std::nullopt;
  }
  return std::bit_cast<EventRecord>(values);
}

std::uint64_t StateRegion::next_event() const noexcept {
  // sync state.event: acquire; pairs with release in append; shows all events before it
  return std::max<std::uint64_t>(layout().header.next_event.load(std::memory_order_acquire), 1);
}

std::uint64_t StateRegion::oldest_event() const noexcept {
  const auto next = next_event();
  return next > state_layout::event_count ? next - state_layout::event_count : 1;
}

// What is longer ends after a whole word; `status` has all of it.
void set_text(EventRecord& record, std::string_view text) noexcept {
  static constexpr std::string_view ellipsis = " ...";
  record.text.fill('\0');
  const bool fits = text.size() <= record.text.size();
  if (!fits) {
    text = text.substr(0, record.text.size() - ellipsis.size());
    if (const auto space = text.rfind(' '); space != text.npos) text = text.substr(0, space);
  }
  const auto end = std::copy(text.begin(), text.end(), record.text.begin());
  if (!fits) std::copy(ellipsis.begin(), ellipsis.end(), end);
}

std::string_view text(const EventRecord& record) noexcept {
  return {record.text.data(), ::strnlen(record.text.data(), record.text.size())};
}

}  // namespace bulkhead::supervisor
