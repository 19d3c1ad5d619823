// What is found out about a worker before it is killed because it hangs, and the JSON in which an incident keeps its
// threads. Pure functions; used by the brain's hang desk and by incidents.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "supervisor/thread_look.hpp"

namespace bulkhead::supervisor {

struct HangReport {
  Verdict verdict;
  std::string threads;  // what merge_threads() made; "" when nobody could look
};

// One object with the states of the threads and their stacks. `stacks` is what bulkhead-symboliser wrote (see
// thread_stacks.hpp), or "" with `problem` for why there is nothing. As many threads as fit into so many bytes; the
// others are counted.
std::string merge_threads(const ThreadsSeen& before, const ThreadsSeen& now,
                          std::string_view stacks, const std::string& problem,
                          std::size_t bytes_max);

// For an incident's report: {"threads":[{"tid","name","state","waits_in","cpu_percent","frames":[{"address"} or
// {"module","build_id","offset"}]}],"threads_left_out","threads_problem"}. Empty and null for text that is none.
nlohmann::json expand_threads(std::string_view kept);

}  // namespace bulkhead::supervisor
