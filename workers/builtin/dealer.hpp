// Deals jobs to crunchers over their channels and merges the results. Used by the splitter.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/worker.hpp>
#include <cstdint>
#include <vector>

#include "workers/builtin/job.hpp"
#include "workers/builtin/survey.hpp"

namespace bulkhead::workers {

struct Dealt {
  WordCount count;
  std::vector<Unreadable> failed;  // what a cruncher could not read
};

// Each cruncher has at most `in_flight` jobs, so that one that is slow or dead holds up few. A cruncher
// that dies gets its jobs again through the link when it is back.
// Errors: stopped; those of the channels.
[[nodiscard]] Result<Dealt> deal(Worker& self, std::vector<Channel>& crunchers,
                                 const std::vector<Job>& jobs, std::uint64_t round,
                                 std::uint64_t in_flight);

}  // namespace bulkhead::workers
