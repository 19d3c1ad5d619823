// How tasks get the workers where a policy decides: at most as many run at once as there are processors for them, and who
// has to give way is stopped with its process and goes on where it was.
#include <signal.h>

#include <algorithm>

#include "pool/dispatcher.hpp"

namespace bulkhead::pool {

// Who was stopped keeps its worker, so there is one more for each of them.
unsigned Dispatcher::seats_wanted() const noexcept {
  if (!schedule_ || !schedule_->preempts()) return wanted_;
  return std::min<unsigned>(wanted_ + 1 + stopped_most_, detail::ClaimLedger::slots_max);
}

unsigned Dispatcher::count_stopped() const noexcept {
  return static_cast<unsigned>(std::count_if(seats_.begin(), seats_.end(), [](const auto& seat) {
    return seat->stopped_since.has_value();
  }));
}

unsigned Dispatcher::count_running() const noexcept {
  return static_cast<unsigned>(std::count_if(seats_.begin(), seats_.end(), [](const auto& seat) {
    return !seat->under_way.empty() && !seat->stopped_since;
  }));
}

Seat* Dispatcher::idle_seat(std::size_t below) const noexcept {
  const auto found = std::find_if(seats_.begin(), seats_.end(), [&](const auto& seat) {
    return seat->state == Seat::State::ready && !seat->ending && seat->under_way.empty() &&
           seat->index() < below;
  });
  return found == seats_.end() ? nullptr : found->get();
}

Seat* Dispatcher::seat_of(std::uint64_t task) const noexcept {
  const auto found = std::find_if(seats_.begin(), seats_.end(), [task](const auto& seat) {
    return !seat->under_way.empty() && seat->under_way.front()->number == task;
  });
  return found == seats_.end() ? nullptr : found->get();
}

void Dispatcher::add_to_schedule(const Work& work) {
  schedule_->add({.number = work.number,
                  .function = work.function,
                  .priority = work.options.priority,
                  .expected = work.options.expected},
                 clock::now());
}

void Dispatcher::dispatch_by_policy() {
  refused_ = false;
  for (;;) {
    const auto now = clock::now();
    Seat* const idle = idle_seat(seats_wanted());
    const bool all_run = count_running() >= wanted_;
    // Who begins instead of another makes one more that is stopped; who goes on does not.
    const bool may_begin =
        idle != nullptr && (!all_run || count_stopped() < options_.scheduling.stopped_max);
    const auto next =
        schedule_->next(may_begin ? Schedule::Among::all : Schedule::Among::set_aside, now);
    somebody_waits_ = next.has_value();
    if (!next) break;
    if (all_run) {
      const auto loser = schedule_->gives_way_to(*next, now);
      if (!loser || !stop_for_another(*loser)) break;
    }
    if (!put_on(*next, idle)) break;
  }
  share_idle_with_ranges();
}

// Maps get the workers that no task wants.
void Dispatcher::share_idle_with_ranges() {
  for (auto& [priority, line] : queue_) {
    while (!line.empty() && count_running() < wanted_) {
      Seat* const idle =
          idle_seat(std::min<std::size_t>(seats_wanted(), line.front()->range->slots()));
      if (idle == nullptr) return;
      if (!give(*idle, line.front())) line.pop_front();  // as in dispatch()
    }
  }
  std::erase_if(queue_, [](const auto& entry) { return entry.second.empty(); });
}

// False: not now.
bool Dispatcher::put_on(std::uint64_t task, Seat* idle) {
  const auto now = clock::now();
  if (Seat* const seat = seat_of(task); seat != nullptr) {
    go_on(*seat);
  } else {
    const auto work = pending_.find(task);
    if (work == pending_.end()) {  // nobody waits for it any more
      schedule_->remove(task, now);
      return true;
    }
    if (idle == nullptr || !give_task(*idle, WorkPtr(work->second))) return false;
  }
  schedule_->put_on(task, now);
  return true;
}

// Another is to have the processor. False: it is being ended anyway.
bool Dispatcher::stop_for_another(std::uint64_t task) {
  Seat* const seat = seat_of(task);
  if (seat == nullptr || seat->ending) return false;
  take_reports(*seat);
  if (seat->under_way.empty()) return true;
  seat->signal(SIGSTOP);
  seat->stopped_since = clock::now();
  // One more than may be, where another goes on in the next moment.
  const unsigned stopped = std::min(count_stopped(), options_.scheduling.stopped_max);
  if (stopped > stopped_most_) {
    stopped_most_ = stopped;
    begin_missing();
  }
  schedule_->set_aside(task, *seat->stopped_since);
  ++stats_.preempted;
  return true;
}

// Its time limit has not run meanwhile.
void Dispatcher::go_on(Seat& seat) {
  if (!seat.stopped_since) return;
  if (seat.task_deadline) *seat.task_deadline += clock::now() - *seat.stopped_since;
  seat.stopped_since.reset();
  seat.signal(SIGCONT);
}

}  // namespace bulkhead::pool
