#include "lab/scheduling.hpp"

#include <bulkhead/pool.hpp>

#include <algorithm>
#include <array>
#include <thread>

#include "base/clock.hpp"

namespace bulkhead::lab {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Long ones first, and short ones behind them, so that each policy has something to show.
constexpr std::array jobs{Job{'A', milliseconds(0), milliseconds(160), 0},
                          Job{'B', milliseconds(5), milliseconds(120), 1},
                          Job{'C', milliseconds(10), milliseconds(20), 3},
                          Job{'D', milliseconds(15), milliseconds(60), 2},
                          Job{'E', milliseconds(20), milliseconds(10), 3},
                          Job{'F', milliseconds(60), milliseconds(40), 0}};

constexpr std::array policies{
    SchedulingPolicy::first_come,     SchedulingPolicy::shortest_next,
    SchedulingPolicy::priority_aging, SchedulingPolicy::shortest_remaining,
    SchedulingPolicy::round_robin,    SchedulingPolicy::feedback};

constexpr milliseconds lab_quantum(10);

// Takes so much of a processor, however often it is stopped.
int compute(int ms) {
  const auto until = base::processor_time_ns() + static_cast<std::uint64_t>(ms) * 1'000'000;
  while (base::processor_time_ns() < until) {
  }
  return ms;
}

double ms_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// Turns in which a processor was given to nobody for a moment are none.
std::vector<Turn> turns_of(const ScheduleTrace& trace, Clock::time_point begin) {
  constexpr std::uint64_t first_task = 2;  // the first one warmed the pool up
  std::vector<Turn> turns;
  for (const auto& turn : trace) {
    if (turn.task < first_task) continue;
    turns.push_back({turn.task - first_task, turn.processor, ms_between(begin, turn.begin),
                     ms_between(begin, turn.end)});
  }
  std::sort(turns.begin(), turns.end(),
            [](const Turn& a, const Turn& b) { return a.begin_ms < b.begin_ms; });
  return turns;
}

bool is_never_crowded(const PolicyRun& run, unsigned workers) {
  return std::all_of(run.turns.begin(), run.turns.end(), [&](const Turn& turn) {
    const auto at_once = std::count_if(run.turns.begin(), run.turns.end(), [&](const Turn& other) {
      return other.begin_ms <= turn.begin_ms && turn.begin_ms < other.end_ms;
    });
    return turn.processor < workers && at_once <= static_cast<std::ptrdiff_t>(workers);
  });
}

Result<PolicyRun> run_under(SchedulingPolicy policy, unsigned workers) {
  Pool pool({.workers = workers,
             .scheduling = {.policy = policy, .quantum = lab_quantum, .trace = true}});
  if (auto warm = pool.submit([] {}).get(); !warm) return warm.error();
  const bool by_priority = policy == SchedulingPolicy::priority_aging;
  std::vector<Future<int>> futures;
  const auto begin = Clock::now();
  for (const Job& job : jobs) {
    std::this_thread::sleep_until(begin + job.at);
    futures.push_back(pool.submit_with(
        {.priority = by_priority ? job.priority : 0, .expected = job.length},
        [](int ms) { return compute(ms); }, static_cast<int>(job.length.count())));
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto took = futures[i].get();
    if (!took) return took.error();
    if (*took != jobs[i].length.count())
      return make_error(Errc::protocol_violation,
                        std::string("job ") + jobs[i].name + " has another one's result");
  }
  PolicyRun run;
  run.policy = policy;
  run.turns = turns_of(pool.schedule_trace(), begin);
  run.figures = figures_of({jobs.begin(), jobs.end()}, run.turns);
  return run;
}

const Figures& figures_under(const SchedulingLab& lab, SchedulingPolicy policy) {
  return std::find_if(lab.runs.begin(), lab.runs.end(),
                      [&](const PolicyRun& run) { return run.policy == policy; })
      ->figures;
}

// What the theory promises of one processor, where the figures are far enough apart to tell.
void compare(SchedulingLab& lab) {
  const auto& fcfs = figures_under(lab, SchedulingPolicy::first_come);
  const auto& shortest = figures_under(lab, SchedulingPolicy::shortest_next);
  const auto& remaining = figures_under(lab, SchedulingPolicy::shortest_remaining);
  const auto& robin = figures_under(lab, SchedulingPolicy::round_robin);
  lab.checks.push_back(
      {"shortest_next lets jobs wait less than first_come", shortest.waiting < fcfs.waiting});
  lab.checks.push_back({"shortest_remaining lets them wait less than shortest_next",
                        remaining.waiting < shortest.waiting});
  lab.checks.push_back(
      {"round_robin responds sooner than first_come", robin.response < fcfs.response});
}

}  // namespace

bool SchedulingLab::passed() const noexcept {
  return std::all_of(checks.begin(), checks.end(), [](const Check& check) { return check.passed; });
}

Figures figures_of(const std::vector<Job>& set, const std::vector<Turn>& turns) {
  Figures figures;
  double sum = 0, squares = 0;
  std::uint32_t processors = 0;
  for (std::size_t i = 0; i < set.size(); ++i) {
    double first = -1, last = 0, ran = 0;
    for (const Turn& turn : turns) {
      processors = std::max(processors, turn.processor + 1);
      if (turn.job != i) continue;
      if (first < 0) first = turn.begin_ms;
      last = std::max(last, turn.end_ms);
      ran += turn.end_ms - turn.begin_ms;
    }
    const auto at = static_cast<double>(set[i].at.count());
    const double slowdown = (last - at) / static_cast<double>(set[i].length.count());
    figures.turnaround += last - at;
    figures.waiting += last - at - ran;
    figures.response += first - at;
    sum += slowdown;
    squares += slowdown * slowdown;
  }
  const auto count = static_cast<double>(set.size());
  figures.turnaround /= count;
  figures.waiting /= count;
  figures.response /= count;
  figures.fairness = sum * sum / (count * squares);
  figures.switches = turns.size() - std::min<std::size_t>(turns.size(), processors);
  return figures;
}

Result<SchedulingLab> run_scheduling(unsigned workers) {
  SchedulingLab lab;
  lab.workers = workers;
  lab.quantum = lab_quantum;
  lab.jobs.assign(jobs.begin(), jobs.end());
  for (const auto policy : policies) {
    auto run = run_under(policy, workers);
    if (!run) return run.error();
    lab.checks.push_back({std::string(bulkhead::to_string(policy)) +
                              " brings each job to its end, never more than " +
                              std::to_string(workers) + " at once",
                          is_never_crowded(*run, workers)});
    lab.runs.push_back(std::move(*run));
  }
  if (workers == 1) compare(lab);
  return lab;
}

}  // namespace bulkhead::lab
