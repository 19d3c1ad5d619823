#include "cli/chaos_signals.hpp"

#include <chrono>
#include <csignal>
#include <utility>

namespace bulkhead::cli {

void DueSignals::send_at(std::uint64_t at, std::shared_ptr<const PinnedProcess> process,
                         int signal) {
  {
    const std::scoped_lock lock(mutex_);
    due_.push({at, std::move(process), signal});
  }
  changed_.notify_all();
}

void DueSignals::finish() {
  const std::scoped_lock lock(mutex_);
  for (; !due_.empty(); due_.pop()) (void)due_.top().process->signal(SIGCONT);
}

void DueSignals::run(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (due_.empty()) {
      changed_.wait(lock, stop, [this] { return !due_.empty(); });
      continue;
    }
    const std::uint64_t at = due_.top().at;
    const Clock::time_point when{std::chrono::nanoseconds(at)};
    if (Clock::now() < when) {
      changed_.wait_until(lock, stop, when, [&] { return due_.empty() || due_.top().at != at; });
      continue;
    }
    (void)due_.top().process->signal(due_.top().signal);  // it may be dead by now
    due_.pop();
  }
}

}  // namespace bulkhead::cli
