#include "pool/schedule.hpp"

#include <algorithm>

namespace bulkhead {

std::string_view to_string(SchedulingPolicy policy) noexcept {
  switch (policy) {
    case SchedulingPolicy::first_come: return "first_come";
    case SchedulingPolicy::shortest_next: return "shortest_next";
    case SchedulingPolicy::priority_aging: return "priority_aging";
    case SchedulingPolicy::shortest_remaining: return "shortest_remaining";
    case SchedulingPolicy::round_robin: return "round_robin";
    case SchedulingPolicy::feedback: return "feedback";
  }
  return "?";
}

namespace pool {
namespace {

constexpr int lowest_level = 3;
constexpr int lift_after = 50;            // quanta
constexpr int priority_most = 1'000'000;  // so that a priority times an hour is still a number

Scheduling with_bounds(Scheduling how) noexcept {
  using std::chrono::milliseconds;
  how.quantum = std::clamp<Schedule::Span>(how.quantum, milliseconds(1), std::chrono::hours(1));
  how.aging = std::clamp<Schedule::Span>(how.aging, milliseconds(1), std::chrono::hours(1));
  return how;
}

}  // namespace

Schedule::Schedule(Scheduling how) noexcept : how_(with_bounds(how)) {}

bool Schedule::preempts() const noexcept {
  return how_.stopped_max != 0 &&
         (how_.policy == SchedulingPolicy::shortest_remaining || goes_by_time());
}

bool Schedule::goes_by_time() const noexcept {
  return how_.policy == SchedulingPolicy::round_robin || how_.policy == SchedulingPolicy::feedback;
}

void Schedule::add(const Task& task, Time now) {
  Job fresh;
  fresh.came = now;
  if (const auto before = jobs_.find(task.number); before != jobs_.end()) {
    fresh.came = before->second.came;
    fresh.place = before->second.place;
  }
  remove(task.number, now);
  if (fresh.place == 0) fresh.place = ++last_queued_;
  Job& job = jobs_.emplace(task.number, fresh).first->second;
  job.task = task;
  job.task.expected = std::max(task.expected, Span(0));
  queue_up(job, State::waiting, now);
}

void Schedule::put_on(std::uint64_t number, Time now) {
  const auto found = jobs_.find(number);
  if (found == jobs_.end() || found->second.state == State::on) return;
  Job& job = found->second;
  leave_queue(job);
  job.processor = free_processor();
  job.state = State::on;
  job.since = now;
  on_.push_back(number);
}

// With what is left of its quantum, if it had to leave before that was used up.
void Schedule::set_aside(std::uint64_t number, Time now) {
  const auto found = jobs_.find(number);
  if (found == jobs_.end() || found->second.state != State::on) return;
  Job& job = found->second;
  job.used = used(job, now);
  if (job.used >= quantum(job)) {
    job.used = Span(0);
    if (how_.policy == SchedulingPolicy::feedback)
      job.level = std::min(job.level + 1, lowest_level);
  }
  leave_processor(job, now);
  job.place = ++last_queued_;
  queue_up(job, State::aside, now);
}

void Schedule::learn_from(std::uint64_t number, Time now) {
  const auto found = jobs_.find(number);
  if (found == jobs_.end()) return;
  const Span took = received(found->second, now);
  const auto [mean, first] = means_.try_emplace(found->second.task.function, took);
  if (!first) mean->second += (took - mean->second) / 4;
}

void Schedule::remove(std::uint64_t number, Time now) {
  const auto found = jobs_.find(number);
  if (found == jobs_.end()) return;
  if (found->second.state == State::on) {
    leave_processor(found->second, now);
  } else {
    leave_queue(found->second);
  }
  jobs_.erase(found);
}

void Schedule::queue_up(Job& job, State state, Time now) {
  job.state = state;
  job.since = now;
  job.rank = {order(job, now), job.place};
  (state == State::aside ? aside_ : waiting_).emplace(job.rank, job.task.number);
}

void Schedule::leave_queue(const Job& job) {
  (job.state == State::aside ? aside_ : waiting_).erase(job.rank);
}

void Schedule::leave_processor(Job& job, Time now) {
  if (how_.trace) trace_.push_back({job.task.number, job.processor, job.since, now});
  job.received += now - job.since;
  std::erase(on_, job.task.number);
}

std::uint32_t Schedule::free_processor() const {
  std::uint32_t processor = 0;
  const auto is_taken = [&](std::uint64_t number) {
    return jobs_.at(number).processor == processor;
  };
  while (std::any_of(on_.begin(), on_.end(), is_taken)) ++processor;
  return processor;
}

std::optional<std::uint64_t> Schedule::next(Among among, Time now) {
  if (how_.policy == SchedulingPolicy::feedback && now - lifted_ >= lift_after * how_.quantum)
    lift_all(now);
  const bool all = among == Among::all && !waiting_.empty();
  if (all && (aside_.empty() || waiting_.begin()->first < aside_.begin()->first))
    return waiting_.begin()->second;
  if (aside_.empty()) return std::nullopt;
  return aside_.begin()->second;
}

// Back to the top, each at its place among its equals: who was sent down would starve behind those who keep coming.
void Schedule::lift_all(Time now) {
  lifted_ = now;
  waiting_.clear();
  aside_.clear();
  for (auto& [number, job] : jobs_) {
    job.level = 0;
    if (job.state == State::on) continue;
    job.rank.order = order(job, now);
    (job.state == State::aside ? aside_ : waiting_).emplace(job.rank, number);
  }
}

// Of those who may be made to: who has most left to do, or has had the processor for longest.
std::optional<std::uint64_t> Schedule::gives_way_to(std::uint64_t next, Time now) const {
  if (!preempts()) return std::nullopt;
  const Job& candidate = jobs_.at(next);
  const bool by_rest = how_.policy == SchedulingPolicy::shortest_remaining;
  const Job* loser = nullptr;
  for (const auto number : on_) {
    const Job& job = jobs_.at(number);
    const bool must = by_rest ? remaining(candidate, now) < remaining(job, now)
                              : used(job, now) >= quantum(job) || candidate.level < job.level;
    if (!must) continue;
    const bool rather = loser == nullptr || (by_rest ? remaining(*loser, now) < remaining(job, now)
                                                     : used(*loser, now) < used(job, now));
    if (rather) loser = &job;
  }
  return loser == nullptr ? std::nullopt : std::optional(loser->task.number);
}

std::optional<Schedule::Time> Schedule::next_change(Time now) const {
  // What the others go by changes only when a task comes or ends.
  if (!preempts() || !goes_by_time() || (waiting_.empty() && aside_.empty())) return std::nullopt;
  std::optional<Time> next;
  for (const auto number : on_) {
    const Job& job = jobs_.at(number);
    const Time at = now + std::max(quantum(job) - used(job, now), Span(0));
    next = next ? std::min(*next, at) : at;
  }
  return next;
}

std::int64_t Schedule::order(const Job& job, Time now) const {
  switch (how_.policy) {
    case SchedulingPolicy::first_come: return -std::int64_t{job.task.priority};
    case SchedulingPolicy::shortest_next:
    case SchedulingPolicy::shortest_remaining: return remaining(job, now).count();
    // Who came earlier has grown more: that difference stays, so the order does, too.
    case SchedulingPolicy::priority_aging:
      return Span(job.came.time_since_epoch()).count() -
             std::clamp(job.task.priority, -priority_most, priority_most) * how_.aging.count();
    case SchedulingPolicy::round_robin: return 0;
    case SchedulingPolicy::feedback: return job.level;
  }
  return 0;
}

Schedule::Span Schedule::received(const Job& job, Time now) const noexcept {
  return job.received + (job.state == State::on ? now - job.since : Span(0));
}

// A function that nobody knows anything of yet is tried first. A task that takes longer than was thought has nothing left
// to do, and so is soon out of the way.
Schedule::Span Schedule::remaining(const Job& job, Time now) const {
  Span expected = job.task.expected;
  if (const auto mean = means_.find(job.task.function); expected == Span(0) && mean != means_.end())
    expected = mean->second;
  return std::max(expected - received(job, now), Span(0));
}

Schedule::Span Schedule::quantum(const Job& job) const noexcept {
  return how_.policy == SchedulingPolicy::feedback ? how_.quantum * (1 << job.level) : how_.quantum;
}

Schedule::Span Schedule::used(const Job& job, Time now) const noexcept {
  return job.used + (job.state == State::on ? now - job.since : Span(0));
}

}  // namespace pool
}  // namespace bulkhead
