// Signals that are due later, sent by a thread of their own: who makes faults waits for the supervisor now and then, and
// may have stopped it himself. Used by `chaos`.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>

#include "cli/chaos_process.hpp"

namespace bulkhead::cli {

// Threads: one, beside its own.
class DueSignals {
 public:
  DueSignals() : thread_([this](const std::stop_token& stop) { run(stop); }) {}

  // `at`: nanoseconds of CLOCK_MONOTONIC.
  void send_at(std::uint64_t at, std::shared_ptr<const PinnedProcess>, int signal);
  // SIGCONT to all that were to get a signal yet, and no other.
  void finish();

 private:
  struct Due {
    std::uint64_t at;
    std::shared_ptr<const PinnedProcess> process;
    int signal;
    bool operator<(const Due& other) const noexcept { return at > other.at; }
  };

  void run(const std::stop_token&);

  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::priority_queue<Due> due_;
  std::jthread thread_;  // the last, so that it ends first
};

}  // namespace bulkhead::cli
