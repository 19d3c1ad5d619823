// Does a job. Used by the cruncher, and by the splitter for a result that no message can carry.
#pragma once

#include <string>
#include <vector>

#include "workers/builtin/job.hpp"

namespace bulkhead::workers {

struct CountedJob {
  WordCount count;
  std::vector<Failure> failures;
};

CountedJob count_job(const Job&, std::string& buffer);  // the buffer is reused

}  // namespace bulkhead::workers
