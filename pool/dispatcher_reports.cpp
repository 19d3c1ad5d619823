// How the reports of workers are taken, by the pool's thread or by one that waits for a future.
#include <signal.h>

#include <algorithm>
#include <utility>

#include "ipc/wake.hpp"
#include "pool/dispatcher.hpp"

namespace bulkhead::pool {
namespace {

// So long a waiting thread looks for results itself: longer than a short task takes, shorter than anybody minds.
constexpr auto help_time = std::chrono::microseconds(50);

}  // namespace

void Dispatcher::obey(Seat& seat, const Seat::Incoming& incoming) {
  if (seat.state == Seat::State::starting) return initialised(seat, incoming);
  if (seat.under_way.empty()) return seat.signal(SIGKILL);  // it reports what nobody gave to it
  const WorkPtr work = seat.under_way.front();
  if (work->number != incoming.report.task) return seat.signal(SIGKILL);
  detail::BodyReader body(incoming.body, incoming.attachments.get());
  switch (incoming.report.kind) {
    case Report::Kind::item_value:
      if (work->range) work->range->take_value(incoming.report.item, body);
      return;
    case Report::Kind::item_failure:
      if (work->range)
        work->range->take_failure(incoming.report.item, unpack_failure_report(incoming.body));
      return;
    case Report::Kind::range_end:
      if (!work->range) return seat.signal(SIGKILL);
      seat.under_way.pop_front();
      ++seat.tasks_done;
      if (seat.ending && seat.ending->step == 0) {  // the item that was asked to stop did so
        seat.ending.reset();
        seat.ask_to_stop(0);
      }
      work->range->end_part(seat.index());
      settle_range(work);
      break;
    case Report::Kind::value:
    case Report::Kind::failure: take_answer(seat, incoming); break;
    default: return seat.signal(SIGKILL);
  }
  retire_if_due(seat);
}

void Dispatcher::take_answer(Seat& seat, const Seat::Incoming& incoming) {
  const WorkPtr work = seat.under_way.front();
  seat.under_way.pop_front();
  seat.forget_offer(work->number);
  seat.task_deadline.reset();
  go_on(seat);  // it has ended just before it was stopped
  ++seat.tasks_done;
  if (!pending_.contains(work->number)) return;            // it was cancelled on its way
  if (seat.ending && seat.ending->task == work->number) {  // it ended when it was asked to
    const auto cause = seat.ending->cause;
    auto failure = failure_of(
        cause, make_error(cause == FailureCause::cancelled ? Errc::cancelled : Errc::timed_out,
                          "the task stopped"));
    if (seat.ending->step == 0) {
      seat.ending.reset();
      seat.ask_to_stop(0);
    }
    if (work->range) {
      work->range->end_part(seat.index());
      return settle_range(work);
    }
    return finish(work, std::move(failure));
  }
  if (incoming.report.kind == Report::Kind::failure) {
    TaskFailure failure = unpack_failure_report(incoming.body);
    failure.attempts = work->attempts + 1;
    if (!work->range) return finish(work, std::move(failure));
    work->range->end_part(seat.index());  // it could not even begin: nobody else could
    work->range->give_up(failure);
    return settle_range(work);
  }
  if (work->range) return seat.signal(SIGKILL);
  finish(work, {Bytes(incoming.body.begin(), incoming.body.end()), incoming.attachments});
}

void Dispatcher::finish(const WorkPtr& work, detail::TaskAnswer answer) {
  ++stats_.done;
  if (schedule_) schedule_->learn_from(work->number, clock::now());
  forget(work);
  for (auto& call : work->state->answer(std::move(answer))) calls_.push_back(std::move(call));
}

void Dispatcher::finish(const WorkPtr& work, TaskFailure failure) {
  ++stats_.failed;
  forget(work);
  for (auto& call : work->state->fail(std::move(failure))) calls_.push_back(std::move(call));
}

void Dispatcher::forget(const WorkPtr& work) {
  if (pending_.erase(work->number) != 0) pending_bytes_ -= work->bytes();
  if (schedule_) schedule_->remove(work->number, clock::now());
  room_.notify_all();
  if (pending_.empty()) idle_.notify_all();
}

bool Dispatcher::take_reports(Seat& seat) {
  bool any = false;
  seat.disarm();
  while (const auto incoming = seat.receive()) {
    any = true;
    obey(seat, *incoming);
  }
  return any;
}

bool Dispatcher::pump() {
  bool any = false;
  for (auto& seat : seats_) {
    if (seat->state == Seat::State::starting || !seat->under_way.empty())
      any |= take_reports(*seat);
  }
  if (any) dispatch();
  return any;
}

void Dispatcher::help(const detail::TaskState& state, Deadline deadline) {
  const auto start = clock::now();
  for (unsigned looks = 0;; ++looks) {
    {
      Lock lock(mutex_);
      const auto busy = static_cast<unsigned>(std::count_if(
          seats_.begin(), seats_.end(), [](const auto& seat) { return !seat->under_way.empty(); }));
      const bool worth_while = busy < processors_ && busy != 0;
      pump();
      const bool over = state.ready() || closing_ || !worth_while || deadline.stopped() ||
                        deadline.expired() ||
                        (looks % 64 == 63 && clock::now() - start > help_time);
      if (over) {
        // A waiting thread's next sleep ends by the pool's thread, so the doorbells have to ring for that; and others
        // may wait for what is still under way, while that thread is asleep.
        if (!state.ready() || fast_asleep_) arm_all();
        if (!calls_.empty() || refused_) wake();
        return;
      }
    }
    ipc::cpu_pause();
  }
}

// Afterwards each report rings. What has come meanwhile is not left lying.
void Dispatcher::arm_all() {
  for (auto& seat : seats_) {
    while ((seat->state == Seat::State::starting || !seat->under_way.empty()) && seat->arm()) {
      if (!take_reports(*seat)) break;
      dispatch();
    }
  }
}

}  // namespace bulkhead::pool
