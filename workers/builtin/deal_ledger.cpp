#include "workers/builtin/deal_ledger.hpp"

#include <algorithm>

namespace bulkhead::workers {

DealLedger::DealLedger(std::size_t jobs, std::size_t workers, std::size_t in_flight_max)
    : jobs_(jobs), in_flight_(workers, 0), in_flight_max_(in_flight_max) {}

std::optional<std::uint32_t> DealLedger::deal_to(std::size_t worker) {
  if (in_flight_[worker] >= in_flight_max_) return std::nullopt;
  const auto give = [&](std::uint32_t job) {
    jobs_[job].worker = worker;
    ++in_flight_[worker];
    return job;
  };
  for (auto* const queue : {&returned_, &doubtful_}) {
    if (queue == &doubtful_ && next_ < jobs_.size()) return give(next_++);
    while (!queue->empty()) {
      const auto job = queue->front();
      queue->pop_front();
      if (!jobs_[job].done && jobs_[job].worker == nobody) return give(job);
    }
  }
  return std::nullopt;
}

void DealLedger::take_back(std::size_t worker, std::uint32_t job) {
  if (jobs_[job].worker != worker) return;
  jobs_[job].worker = nobody;
  --in_flight_[worker];
  returned_.push_back(job);
}

void DealLedger::replaced(std::size_t worker) {
  for (std::uint32_t job = 0; job < jobs_.size(); ++job) {
    if (jobs_[job].worker != worker) continue;
    jobs_[job].worker = nobody;
    doubtful_.push_back(job);
  }
  in_flight_[worker] = 0;
}

bool DealLedger::take_part(std::uint32_t job, std::uint32_t part, std::uint32_t parts) {
  if (job >= jobs_.size() || jobs_[job].done || part >= parts) return false;
  auto& state = jobs_[job];
  if (state.parts.empty()) state.parts.resize(parts, false);
  if (state.parts.size() != parts || state.parts[part]) return false;
  state.parts[part] = true;
  if (std::find(state.parts.begin(), state.parts.end(), false) == state.parts.end()) finish(state);
  return true;
}

void DealLedger::finish(JobState& state) {
  state.done = true;
  ++done_;
  if (state.worker == nobody) return;
  --in_flight_[state.worker];
  state.worker = nobody;
}

}  // namespace bulkhead::workers
