// The thread that relieves pipes while the writer is stuck.
#include "supervisor/logger_relief.hpp"

#include <algorithm>

namespace bulkhead::supervisor {

LogRelief::LogRelief(LogScratch scratch)
    : scratch_(std::move(scratch)), thread_([this] { run(); }) {}

LogRelief::~LogRelief() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void LogRelief::watch(std::shared_ptr<LogSource> source) {
  const std::lock_guard lock(mutex_);
  sources_.push_back(std::move(source));
}

void LogRelief::unwatch(const LogSource* source) {
  const std::lock_guard lock(mutex_);
  std::erase_if(sources_, [source](const auto& watched) { return watched.get() == source; });
}

// Wakes the thread only from its idle sleep: while writes go on it looks twice a second by itself.
void LogRelief::write_begins() {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    ++writes_;
    writing_ = true;
    wake = std::exchange(idle_, false);
  }
  if (wake) changed_.notify_one();
}

void LogRelief::write_ends() {
  const std::lock_guard lock(mutex_);
  writing_ = false;
}

bool LogRelief::took_anything() {
  const std::lock_guard lock(mutex_);
  return std::exchange(took_, false);
}

void LogRelief::run() {
  std::unique_lock lock(mutex_);
  std::uint64_t seen = 0;
  while (!leaving_) {
    // Whoever began a write since then took `idle_` away, even if that write has ended long ago.
    idle_ = writes_ == seen;
    changed_.wait(lock, [&] { return leaving_ || writes_ != seen; });
    seen = writes_;
    changed_.wait_for(lock, relief_patience, [this] { return leaving_; });
    while (!leaving_ && writing_ && writes_ == seen) {
      for (const auto& source : sources_) took_ = source->relieve(scratch_) > 0 || took_;
      changed_.wait_for(lock, relief_period, [this] { return leaving_; });
    }
  }
}

}  // namespace bulkhead::supervisor
