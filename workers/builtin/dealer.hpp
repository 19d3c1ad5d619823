// Gives jobs to crunchers through a queue and merges the results. Used by the splitter.
#pragma once

#include <bulkhead/queue.hpp>
#include <bulkhead/worker.hpp>
#include <cstdint>
#include <vector>

#include "workers/builtin/job.hpp"
#include "workers/builtin/survey.hpp"

namespace bulkhead::workers {

struct Dealt {
  WordCount count;
  std::vector<Unreadable> failed;       // what a cruncher could not read
  std::vector<std::uint32_t> given_up;  // jobs that no cruncher survived
  std::uint64_t poison_given_up = 0;    // of those that were planted
};

// Plants `poison` jobs, evenly among the others, that kill whoever does them.
// Errors: stopped; those of the queue.
[[nodiscard]] Result<Dealt> deal(Worker& self, Queue& crunchers, const std::vector<Job>& jobs,
                                 std::uint64_t round, std::uint64_t poison);

}  // namespace bulkhead::workers
