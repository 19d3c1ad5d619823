// How workers begin and end: their births, the deaths that they die, and those that they are given.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include <algorithm>
#include <climits>
#include <string>

#include "pool/crash_words.hpp"
#include "pool/dispatcher.hpp"

namespace bulkhead::pool {
namespace {

// So many workers that do not come to their first task, one after the other, are no accident.
constexpr unsigned failed_starts_max = 3;

TaskFailure failure_of_death(const Seat& seat, int code, int status) {
  TaskFailure failure;
  failure.number = status;
  if (code == CLD_EXITED) {
    failure.cause = FailureCause::exited;
    failure.error = make_error(
        Errc::peer_died, "the task ended its worker with exit code " + std::to_string(status));
    return failure;
  }
  failure.cause = FailureCause::signal;
  failure.crash = seat.crash_report();
  const auto death = death_in_words(failure.crash, seat.pid(), status);
  if (!death.from_worker) failure.crash.clear();
  if (death.out_of_memory) failure.cause = FailureCause::out_of_memory;
  failure.error = make_error(Errc::peer_died, "the task's worker died: " + death.words);
  return failure;
}

// Of the task for whose sake we ended its worker.
TaskFailure failure_of_ending(FailureCause cause) {
  const bool cancelled = cause == FailureCause::cancelled;
  return failure_of(
      cause,
      make_error(cancelled ? Errc::cancelled : Errc::timed_out,
                 cancelled ? "the task was cancelled, and its worker ended"
                           : "the task took longer than its time limit, and its worker was ended"));
}

}  // namespace

bool Dispatcher::begin_zygote() {
  if (zygote_) return true;
  auto zygote = Zygote::start(std::max(1U, processors_ / wanted_));
  if (!zygote) {
    could_not_start(zygote.error());
    return false;
  }
  zygote_ = std::move(*zygote);
  watch(zygote_->socket(), EPOLLIN);
  return true;
}

// Where starts have failed, only who is waited for is tried.
void Dispatcher::begin_missing() {
  if (closing_ || (failed_starts_ != 0 && pending_.empty())) return;
  while (seats_.size() < seats_wanted()) {
    seats_.push_back(std::make_unique<Seat>(static_cast<std::uint32_t>(seats_.size())));
  }
  for (auto& seat : seats_) {
    if (seat->index() >= seats_wanted() || seat->state != Seat::State::empty) continue;
    if (!begin_zygote()) return;
    begin_worker(*seat);
  }
}

void Dispatcher::begin_worker(Seat& seat) {
  BirthOrder order;
  order.birth = ++last_birth_;
  order.memory_max = options_.memory_max;
  order.exec = options_.exec_workers ? 1 : 0;
  const auto begun = seat.begin(*zygote_, order.birth, order);
  if (!begun) {
    if (!begun.error().is(Errc::closed)) could_not_start(begun.error());
    return;
  }
  watch(seat.side(), EPOLLIN | EPOLLRDHUP | EPOLLET, seat.birth());
  // Edges: who takes a report before its bell has rung leaves the ring behind, and need not come back for it.
  watch(seat.doorbell(), EPOLLIN | EPOLLET);
}

// What is pending fails; what is submitted later is another try.
void Dispatcher::could_not_start(const Error& why) {
  failed_starts_ = std::max(failed_starts_ + 1, failed_starts_max);
  const auto failure = failure_of(FailureCause::could_not_start, why);
  const auto left = pending_;
  for (const auto& entry : left) {
    const WorkPtr& work = entry.second;
    if (work->range) {
      work->range->give_up(failure);
      if (work->range->is_idle()) settle_range(work);
    } else {
      const bool is_running = std::any_of(seats_.begin(), seats_.end(), [&](const auto& seat) {
        return std::find(seat->under_way.begin(), seat->under_way.end(), work) !=
               seat->under_way.end();
      });
      if (!is_running) finish(work, failure);
    }
  }
  queue_.clear();
}

void Dispatcher::hear_zygote() {
  while (zygote_) {
    auto heard = zygote_->hear();
    if (!heard) return lose_zygote();
    if (!*heard) return;
    const ZygoteWord& word = (*heard)->word;
    const auto found = std::find_if(seats_.begin(), seats_.end(), [&](const auto& seat) {
      return seat->state != Seat::State::empty && seat->birth() == word.birth;
    });
    if (found == seats_.end()) continue;
    Seat& seat = **found;
    switch (word.kind) {
      case ZygoteWord::Kind::born:
        ++stats_.started;
        stats_.exec_reason = word.text;
        seat.set_process(word.pid, std::move((*heard)->pidfd));
        break;
      case ZygoteWord::Kind::unborn:
        seat.clear();
        could_not_start(
            make_error(Errc::exec_failed, std::string("a pool's worker: ") + word.text));
        break;
      case ZygoteWord::Kind::died: on_death(seat, word.code, word.status); break;
      default: break;
    }
  }
}

void Dispatcher::open_channels() {
  for (auto& seat : seats_) {
    // Its own word may come before the zygote's; who cannot be signalled yet gets no work.
    if (seat->state != Seat::State::born || seat->pid() == 0) continue;
    const auto opened = seat->open_channel();
    if (!opened || !*opened) continue;  // one that failed is dead: the zygote says so
    seat->state = Seat::State::starting;
    if (!options_.initializer.function) {
      become_ready(*seat);
      continue;
    }
    Order order;
    order.function = *options_.initializer.function;
    (void)seat->send(order, options_.initializer.body, {});
  }
}

void Dispatcher::initialised(Seat& seat, const Seat::Incoming& incoming) {
  if (incoming.report.kind == Report::Kind::value) {
    return become_ready(seat);
  }
  start_failure_ = "its initializer failed: " + unpack_failure_report(incoming.body).in_words();
  seat.state = Seat::State::leaving;
  seat.signal(SIGKILL);
}

void Dispatcher::become_ready(Seat& seat) {
  seat.state = Seat::State::ready;
  failed_starts_ = 0;
  retire_if_due(seat);  // the pool may have become smaller meanwhile
}

void Dispatcher::retire_if_due(Seat& seat) {
  const bool is_worn =
      options_.tasks_per_worker_max != 0 && seat.tasks_done >= options_.tasks_per_worker_max;
  if (seat.state != Seat::State::ready || !seat.under_way.empty()) return;
  if (!is_worn && seat.index() < seats_wanted()) return;
  Order order;
  order.kind = Order::Kind::retire;
  if (!seat.send(order, {}, {})) seat.signal(SIGKILL);
  seat.state = Seat::State::leaving;
}

void Dispatcher::on_death(Seat& seat, int code, int status) {
  ++stats_.died;
  const bool had_started = seat.state == Seat::State::ready || seat.state == Seat::State::leaving;
  const bool was_told = seat.state == Seat::State::leaving && start_failure_.empty();
  seat.mourn();
  while (const auto incoming = seat.receive()) obey(seat, *incoming);
  const TaskFailure death = failure_of_death(seat, code, status);
  const std::uint64_t running = seat.running();
  const auto ending = seat.ending;
  const auto left = std::exchange(seat.under_way, {});
  seat.clear();
  // The last first, so that they stand in the queue as they were.
  for (auto work = left.rbegin(); work != left.rend(); ++work) {
    const bool ended_by_us = ending && ending->task == (*work)->number;
    const TaskFailure failure = ended_by_us ? failure_of_ending(ending->cause) : death;
    if ((*work)->range) {
      lose_part(seat, *work, failure, ended_by_us ? ending->item : 0);
    } else {
      lose_task(*work, failure, (*work)->number == running);
    }
  }
  // Who dies with the zygote could not help it.
  if (!start_failure_.empty() || (!had_started && !was_told && zygote_)) {
    const std::string why = start_failure_.empty() ? death.error.context : start_failure_;
    start_failure_.clear();
    if (++failed_starts_ >= failed_starts_max) {
      could_not_start(make_error(Errc::exec_failed, "no worker comes to its first task: " + why));
    }
  }
}

// `late`: the item for whose sake we ended the worker, + 1; 0: we did not.
void Dispatcher::lose_part(const Seat& seat, const WorkPtr& work, const TaskFailure& failure,
                           std::uint64_t late) {
  unsigned retries = work->options.on_crash == OnCrash::fail ? 0 : work->options.retries;
  if (late != 0) {
    // It may have ended just before the signal, which has struck the next one: that is tried again in any case.
    const auto struck = work->range->timed_item(seat.index());
    retries = struck && struck->item != late ? UINT_MAX : 0;
  }
  if (work->range->lose_part(seat.index(), failure, retries)) ++stats_.retried;
  settle_range(work);
}

void Dispatcher::lose_task(const WorkPtr& work, const TaskFailure& failure, bool was_running) {
  if (!pending_.contains(work->number)) return;  // it was cancelled
  if (!was_running) return put_in_queue(work, true);
  ++work->attempts;
  const bool ended_by_us =
      failure.cause == FailureCause::timed_out || failure.cause == FailureCause::cancelled;
  if (!ended_by_us && work->options.on_crash == OnCrash::retry &&
      work->attempts <= work->options.retries) {
    ++stats_.retried;
    work->options.alone = true;
    return put_in_queue(work, true);
  }
  TaskFailure told = failure;
  told.attempts = work->attempts;
  finish(work, std::move(told));
}

// Its workers die with it, each by the kernel's hand.
void Dispatcher::lose_zygote() {
  zygote_.reset();
  const bool none_was_up = std::none_of(seats_.begin(), seats_.end(), [](const auto& seat) {
    return seat->state == Seat::State::ready || seat->state == Seat::State::leaving;
  });
  for (auto& seat : seats_) {
    if (seat->state == Seat::State::empty) continue;
    seat->await_death();
    on_death(*seat, CLD_KILLED, SIGKILL);
  }
  if (none_was_up && ++failed_starts_ >= failed_starts_max) {
    could_not_start(make_error(Errc::exec_failed, "the pool's zygote dies before it has a worker"));
  }
}

bool Dispatcher::cancel(const detail::TaskState& state) {
  const Lock lock(mutex_);
  const auto found = pending_.find(state.number());
  if (found == pending_.end()) return false;
  const WorkPtr work = found->second;
  for (auto& seat : seats_) {
    auto& under_way = seat->under_way;
    const auto at = std::find(under_way.begin(), under_way.end(), work);
    if (at == under_way.end()) continue;
    if (!seat->take_back(work->number)) {
      // Whether it has ended, or what was run before it, which may be the one that is being ended here.
      take_reports(*seat);
      wake();
      if (!pending_.contains(work->number)) return false;
      begin_ending(*seat, *work, FailureCause::cancelled);
      return true;
    }
    under_way.erase(at);
    if (under_way.empty()) {
      go_on(*seat);
      seat->task_deadline.reset();
    }
    wake();  // its worker is free for another
    break;
  }
  for (auto& [priority, line] : queue_) std::erase(line, work);
  finish(work, failure_of(FailureCause::cancelled,
                          make_error(Errc::cancelled, "the task was cancelled before it ran")));
  if (!calls_.empty()) wake();
  return true;
}

void Dispatcher::begin_ending(Seat& seat, const Work& work, FailureCause cause,
                              std::uint64_t item) {
  if (seat.ending) return;
  go_on(seat);
  if (schedule_) schedule_->remove(work.number, clock::now());  // it gives way to nobody any more
  // Who waits behind it is to suffer nothing.
  for (std::size_t i = seat.under_way.size(); i > 0; --i) {
    const WorkPtr other = seat.under_way[i - 1];
    if (other->number == work.number || !seat.take_back(other->number)) continue;
    seat.under_way.erase(seat.under_way.begin() + static_cast<std::ptrdiff_t>(i - 1));
    put_in_queue(other, true);
  }
  seat.ask_to_stop(work.number, item);
  seat.ending = Seat::Ending{cause, work.number, item, 0, clock::now() + options_.grace};
}

void Dispatcher::check_time_limits(Seat& seat, clock::time_point now) {
  if (seat.ending || seat.under_way.empty() || seat.stopped_since) return;
  const Work& work = *seat.under_way.front();
  if (seat.task_deadline && now >= *seat.task_deadline)
    begin_ending(seat, work, FailureCause::timed_out);
  if (!work.range) return;
  const auto timed = work.range->timed_item(seat.index());
  if (timed && now - timed->started >= work.options.timeout) {
    begin_ending(seat, work, FailureCause::timed_out, timed->item);
  }
}

void Dispatcher::tick_ending(Seat& seat, clock::time_point now) {
  auto& ending = *seat.ending;
  if (now < ending.next_at) return;
  // An item that took its leave in time: the worker is at another one.
  if (!seat.under_way.empty() && seat.under_way.front()->range &&
      ending.cause == FailureCause::timed_out) {
    const Work& work = *seat.under_way.front();
    const auto timed = work.range->timed_item(seat.index());
    if (!timed || timed->item != ending.item) {
      seat.ask_to_stop(0);
      seat.ending.reset();
      return;
    }
  }
  ++ending.step;
  seat.signal(ending.step == 1 ? SIGTERM : SIGKILL);
  ending.next_at =
      now + std::max<std::chrono::nanoseconds>(options_.grace, std::chrono::milliseconds(1));
}

void Dispatcher::tick(clock::time_point now) {
  for (auto& seat : seats_) {
    check_time_limits(*seat, now);
    if (seat->ending) tick_ending(*seat, now);
  }
}

std::optional<Dispatcher::clock::time_point> Dispatcher::next_tick() const {
  std::optional<clock::time_point> next;
  const auto at = [&](clock::time_point when) { next = next ? std::min(*next, when) : when; };
  for (const auto& seat : seats_) {
    if (seat->ending) {
      at(seat->ending->next_at);
      continue;
    }
    if (seat->task_deadline && !seat->stopped_since) at(*seat->task_deadline);
    if (seat->under_way.empty() || !seat->under_way.front()->range) continue;
    const auto& work = *seat->under_way.front();
    if (work.options.timeout.count() == 0) continue;
    const auto timed = work.range->timed_item(seat->index());
    at((timed ? timed->started : clock::now()) + work.options.timeout);
  }
  if (schedule_ && somebody_waits_) {
    // One that is due and cannot be had yet is looked at again, but not without a pause.
    const auto now = clock::now();
    if (const auto change = schedule_->next_change(now))
      at(std::max(*change, now + std::chrono::milliseconds(1)));
  }
  return next;
}

}  // namespace bulkhead::pool
