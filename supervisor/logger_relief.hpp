// Keeps workers going while the logger's one writer is stuck in a write: a second thread that then
// empties the pipes of drop policy before they are full, and sleeps otherwise. Used by the logger; knows
// nothing of files.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "supervisor/logger_source.hpp"

namespace bulkhead::supervisor {

// How long a write may take before pipes are relieved, and how often they are looked at then.
inline constexpr std::chrono::milliseconds relief_patience{500}, relief_period{10};

// Threads: all calls from the logger's loop.
class LogRelief {
 public:
  explicit LogRelief(LogScratch scratch);
  ~LogRelief();
  LogRelief(const LogRelief&) = delete;
  LogRelief& operator=(const LogRelief&) = delete;

  void watch(std::shared_ptr<LogSource>);
  void unwatch(const LogSource*);
  void write_begins();
  void write_ends();
  bool took_anything();  // since the last call

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<LogSource>> sources_;
  std::uint64_t writes_ = 0;  // begun so far
  bool writing_ = false, idle_ = false, took_ = false, leaving_ = false;
  LogScratch scratch_;
  std::thread thread_;
};

}  // namespace bulkhead::supervisor
