#include "pool/range_job.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "pool/work.hpp"

namespace bulkhead::pool {

using detail::ClaimLedger;
using detail::ClaimRange;
using detail::ItemMark;

namespace {

constexpr std::uint64_t to_line(std::uint64_t bytes) noexcept {
  return (bytes + 63) & ~std::uint64_t{63};
}

struct Places {
  std::uint64_t marks = 0, inputs = 0, outputs = 0, end = 0;
};
Places places_of(const detail::RangeWork& work, std::uint32_t slots) noexcept {
  Places places;
  const std::uint64_t items = work.items;
  places.marks = to_line(sizeof(ClaimLedger) + slots * sizeof(detail::ClaimSlot));
  places.inputs = to_line(places.marks + items);
  const std::uint64_t inputs =
      work.input_ends.empty() ? items * work.input_bytes
                              : work.input_ends.size() * sizeof(std::uint64_t) + work.inputs.size();
  places.outputs = to_line(places.inputs + inputs);
  places.end = to_line(places.outputs + items * work.output_bytes);
  return places;
}

}  // namespace

Result<std::unique_ptr<RangeJob>> RangeJob::create(detail::RangeWork work, std::uint32_t slots) {
  auto memory = detail::make_shared_memory("ledger", places_of(work, slots).end);
  if (!memory) return memory.error();
  std::unique_ptr<RangeJob> job(new RangeJob(std::move(work), std::move(*memory)));
  job->lay_out(slots);
  return job;
}

RangeJob::RangeJob(detail::RangeWork work, std::shared_ptr<detail::SharedMemory> memory) noexcept
    : work_(std::move(work)), memory_(std::move(memory)) {}

void RangeJob::lay_out(std::uint32_t slots) {
  const Places places = places_of(work_, slots);
  auto* const head = new (memory_->bytes().data()) ClaimLedger{};
  head->items = work_.items;
  head->slots = slots;
  head->timed = work_.options.timeout.count() != 0 ? 1 : 0;
  head->base = work_.base;
  head->marks_at = places.marks;
  head->inputs_at = places.inputs;
  head->outputs_at = places.outputs;
  std::byte* const inputs = head->at(places.inputs);
  if (work_.plain_inputs != nullptr) {
    std::memcpy(inputs, work_.plain_inputs, work_.items * work_.input_bytes);
    work_.plain_inputs = nullptr;  // borrowed until now
  } else if (!work_.input_ends.empty()) {
    const std::uint64_t bodies = places.inputs + work_.input_ends.size() * sizeof(std::uint64_t);
    for (auto& end : work_.input_ends) end += bodies;
    std::memcpy(inputs, work_.input_ends.data(), work_.input_ends.size() * sizeof(std::uint64_t));
    std::copy(work_.inputs.begin(), work_.inputs.end(), head->at(bodies));
    work_.inputs = {};
    work_.input_ends = {};
  }
  if (work_.on_result) delivered_.resize(work_.items);
}

bool RangeJob::has_claims() const noexcept {
  // relaxed: only whether it is worth a try.
  if (ledger().next.load(std::memory_order_relaxed) < ledger().items) return true;
  return std::any_of(at_work_.begin(), at_work_.end(), [&](std::uint32_t seat) {
    // relaxed: as above.
    return ledger().slot(seat)->range.load(std::memory_order_relaxed).size() >= 2;
  });
}

std::optional<RangeJob::Part> RangeJob::next_part(std::uint32_t seat) {
  BULKHEAD_ASSERT(seat < slots() && !at_work_.contains(seat));
  std::optional<Part> part;
  ClaimRange range;
  if (!suspects_.empty()) {
    part = Part{.open = false, .alone = true};
    range = {suspects_.front(), suspects_.front() + 1};
    suspects_.pop_front();
  } else if (!put_back_.empty()) {
    part = Part{.open = true, .alone = false};
    range = put_back_.front();
    put_back_.pop_front();
  } else if (has_claims()) {
    part = Part{.open = true, .alone = false};
  }
  if (!part) return std::nullopt;
  // relaxed: the order that sends the worker here publishes it.
  ledger().slot(seat)->current.store(0, std::memory_order_relaxed);
  // relaxed: as above.
  ledger().slot(seat)->range.store(range, std::memory_order_relaxed);
  at_work_.insert(seat);
  return part;
}

bool RangeJob::is_undone(std::uint32_t item) const noexcept {
  // sync claim.mark: acquire; pairs with ClaimSeat::mark; shows the item's result
  return ledger().mark(item).load(std::memory_order_acquire) == ItemMark::undone;
}

void RangeJob::take_value(std::uint32_t item, detail::BodyReader& from) {
  if (item >= work_.items || delivered_.empty() || delivered_[item]) return;
  delivered_[item] = true;
  const auto taken = work_.on_result(item, from);
  if (!taken) {
    failures_.emplace(item, failure_of(FailureCause::error, taken.error()));
  }
  // sync claim.mark: release; pairs with is_undone(); the result is with us, whether its worker could say so or not
  ledger().mark(item).store(ItemMark::done, std::memory_order_release);
}

void RangeJob::take_failure(std::uint32_t item, TaskFailure failure) {
  if (item < work_.items) fail_item(item, std::move(failure));
}

void RangeJob::fail_item(std::uint32_t item, TaskFailure failure) {
  const auto before = attempts_.find(item);
  if (failure.attempts == 0)
    failure.attempts = 1 + (before != attempts_.end() ? before->second : 0);
  failures_.emplace(item, std::move(failure));
  // sync claim.mark: release; pairs with is_undone(); as above
  ledger().mark(item).store(ItemMark::failed, std::memory_order_release);
}

// Only what nobody has done: a range that came back from the dead may hold some that were done before.
void RangeJob::put_back(ClaimRange range) {
  for (std::uint32_t item = range.begin; item < range.end;) {
    if (!is_undone(item)) {
      ++item;
      continue;
    }
    std::uint32_t end = item + 1;
    while (end < range.end && is_undone(end)) ++end;
    put_back_.push_back({item, end});
    item = end;
  }
}

bool RangeJob::lose_part(std::uint32_t seat, TaskFailure failure, unsigned retries) {
  if (at_work_.erase(seat) == 0) return false;
  bool again = false;
  auto& slot = *ledger().slot(seat);
  // relaxed: its writer is dead; a thief decides by compare-and-swap.
  const ClaimRange range = slot.range.exchange({}, std::memory_order_relaxed);
  // relaxed: its writer is dead.
  const std::uint64_t current = slot.current.exchange(0, std::memory_order_relaxed);
  const bool sound = range.begin <= range.end && range.end <= work_.items;
  const bool suspected =
      current != 0 && current <= work_.items && is_undone(static_cast<std::uint32_t>(current - 1));
  if (suspected) {
    const auto item = static_cast<std::uint32_t>(current - 1);
    // Named, and not taken yet: it is in the range that goes back.
    const bool taken = !sound || item < range.begin || item >= range.end;
    if (taken) {
      failure.attempts = ++attempts_[item];
      if (failure.attempts > retries) {
        fail_item(item, std::move(failure));
      } else {
        suspects_.push_back(item);
        again = true;
      }
    }
  }
  if (sound) put_back(range);
  return again;
}

std::optional<RangeJob::TimedItem> RangeJob::timed_item(std::uint32_t seat) {
  if (!at_work_.contains(seat) || ledger().timed == 0) return std::nullopt;
  const auto& slot = *ledger().slot(seat);
  // sync claim.current: acquire; pairs with ClaimSeat::take(); shows when the item was begun, or a later one
  const std::uint64_t item = slot.current.load(std::memory_order_acquire);
  // relaxed: ordered by the load before it.
  const std::uint64_t started = slot.started_ns.load(std::memory_order_relaxed);
  if (started == 0 || item == 0) return std::nullopt;
  return TimedItem{item, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(started))};
}

// Nobody is at work, so what is neither marked nor about to be tried again was lost between two words (L4).
bool RangeJob::settle() {
  if (!at_work_.empty() || !suspects_.empty() || !put_back_.empty() || has_claims()) return false;
  // Marked by a worker whose result did not come through: nobody has it.
  for (std::uint32_t item = 0; item < delivered_.size(); ++item) {
    auto& mark = ledger().mark(item);
    // relaxed: nobody is at work.
    if (delivered_[item] || mark.load(std::memory_order_relaxed) != ItemMark::done) continue;
    // relaxed: as above.
    mark.store(ItemMark::undone, std::memory_order_relaxed);
  }
  put_back({0, work_.items});
  return put_back_.empty();
}

void RangeJob::give_up(const TaskFailure& failure) {
  put_back_.clear();
  suspects_.clear();
  // relaxed: who claims sees it sooner or later; what is run all the same is not believed.
  ledger().next.store(work_.items, std::memory_order_relaxed);
  for (std::uint32_t item = 0; item < work_.items; ++item) {
    if (is_undone(item)) fail_item(item, failure);
  }
}

detail::RangeOutcome RangeJob::outcome() {
  detail::RangeOutcome outcome;
  for (auto& [item, failure] : failures_) outcome.failures.push_back({item, std::move(failure)});
  outcome.memory = memory_;
  outcome.outputs = ledger().at(ledger().outputs_at);
  return outcome;
}

}  // namespace bulkhead::pool
