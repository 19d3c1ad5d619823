// One set of jobs under each scheduling policy of a pool, with real processes, and what textbooks ask of it. Used by
// `bulkhead lab scheduling`. Figures: Silberschatz, "Operating System Concepts", chapter 5; fairness: Jain's index.
#pragma once

#include <bulkhead/error.hpp>
#include <bulkhead/scheduling.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::lab {

struct Job {
  char name;
  std::chrono::milliseconds at;      // submitted so long after the beginning
  std::chrono::milliseconds length;  // of processor time
  int priority;                      // for priority_aging only
};

struct Turn {
  std::size_t job = 0;  // which of the set
  std::uint32_t processor = 0;
  double begin_ms = 0, end_ms = 0;  // from the beginning
};

// Means over the jobs, in milliseconds.
struct Figures {
  double waiting = 0;     // neither running nor done
  double turnaround = 0;  // from its submission to its end
  double response = 0;    // from its submission to its first turn
  double fairness = 0;    // 1: each took the same multiple of its length; 1/n: one had everything
  std::size_t switches = 0;  // a processor went from one job to another
};

struct PolicyRun {
  SchedulingPolicy policy{};
  std::vector<Turn> turns;  // by their begin
  Figures figures;
};

struct Check {
  std::string what;
  bool passed = false;
};

struct SchedulingLab {
  unsigned workers = 1;
  std::chrono::milliseconds quantum{};
  std::vector<Job> jobs;
  std::vector<PolicyRun> runs;
  std::vector<Check> checks;
  bool passed() const noexcept;
};

// Blocking: as long as the jobs take, six times: about 3 s with one worker. Errors: the failure of a job, which has
// none of its own. main() must have begun with Pool::entry().
Result<SchedulingLab> run_scheduling(unsigned workers);

// From the turns alone.
Figures figures_of(const std::vector<Job>&, const std::vector<Turn>&);

}  // namespace bulkhead::lab
