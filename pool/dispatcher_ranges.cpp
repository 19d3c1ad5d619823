// How ranges of items pass through the queue: each idle worker joins in, and who dies leaves what it had not done.
#include <signal.h>

#include <algorithm>
#include <utility>

#include "pool/dispatcher.hpp"

namespace bulkhead::pool {

std::shared_ptr<detail::TaskState> Dispatcher::submit_range(detail::RangeWork range) {
  auto work = make_range(range);
  Lock lock(mutex_);
  auto job = RangeJob::create(std::move(range), static_cast<std::uint32_t>(seats_.size()));
  if (!job) return refuse(work, FailureCause::could_not_start, job.error());
  work->range = std::move(*job);
  work->attachments.push_back(detail::attachment_of(work->range->memory()));
  return enqueue(lock, std::move(work));
}

bool Dispatcher::give_part(Seat& seat, const WorkPtr& work) {
  const auto part = work->range->next_part(seat.index());
  if (!part) return false;
  Order order;
  order.kind = Order::Kind::range;
  order.function = work->function;
  order.task = work->number;
  order.ledger = work->range->memory()->number();
  order.slot = seat.index();
  order.open = part->open ? 1 : 0;
  seat.under_way.push_back(work);
  // One that cannot be reached is dying: its death puts the part back.
  if (!seat.send(order, work->body, work->attachments)) seat.signal(SIGKILL);
  return true;
}

// After somebody has left it: it has ended, or waits in the queue for who is idle.
void Dispatcher::settle_range(const WorkPtr& work) {
  if (!pending_.contains(work->number)) return;
  if (work->range->settle()) {
    stats_.failed += work->range->failures();
    outcomes_.emplace(work->number, work->range->outcome());
    return finish(work, detail::TaskAnswer{});
  }
  auto& line = queue_[work->options.priority];
  if (std::find(line.begin(), line.end(), work) == line.end()) line.push_front(work);
}

detail::RangeOutcome Dispatcher::range_outcome(const detail::TaskState& state) {
  const Lock lock(mutex_);
  const auto found = outcomes_.find(state.number());
  if (found == outcomes_.end()) return {};
  auto outcome = std::move(found->second);
  outcomes_.erase(found);
  return outcome;
}

}  // namespace bulkhead::pool
