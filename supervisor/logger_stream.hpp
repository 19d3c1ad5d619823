// One instance's log: a pipe, a file, and what happens when the file does not take what the pipe
// brings. Used by the logger's loop; knows nothing of the other streams.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "supervisor/logger_file.hpp"
#include "supervisor/logger_relief.hpp"
#include "supervisor/logger_source.hpp"

namespace bulkhead::supervisor {

struct LogSettings {
  std::string name, path;
  RotationLimits limits;
  bool drop = true;  // else the output waits in the pipe, and in the end the worker
};

class LogStream {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds retry_period{1};

  LogStream(LogSettings, base::UniqueFd pipe, LogRelief&);
  ~LogStream();
  LogStream(const LogStream&) = delete;
  LogStream& operator=(const LogStream&) = delete;

  enum class Turn {
    moved,  // there may be more
    empty,
    ended,    // nobody can write into the pipe any more; or it is no pipe
    blocked,  // the file takes nothing, the bytes stay where they are
  };
  // Moves at most one chunk; the file is tried again a while after it has failed.
  Turn turn(LogScratch&, Clock::time_point now);

  // Tells in the log what was dropped, once the file works. False: there is still something to tell.
  bool settle(Clock::time_point now);
  // False while the file is left alone because it has just failed.
  bool may_try(Clock::time_point now) const noexcept { return !failing_ || now >= retry_at_; }
  // As LogFile::tail.
  std::string tail(std::size_t lines, std::size_t bytes) const { return file_.tail(lines, bytes); }
  std::uint64_t moved() const noexcept { return moved_; }  // bytes that turns took from the pipe

  void change(const LogSettings&);
  const LogSettings& settings() const noexcept { return settings_; }
  const LogSource& source() const noexcept { return *source_; }
  // errno of the file's present failure, once per failure; 0 otherwise.
  int take_news_of_failure() noexcept { return std::exchange(news_of_failure_, 0); }

 private:
  Appended write(std::string_view);
  int tell_of_dropped();
  void failed(int error, Clock::time_point now) noexcept;

  LogSettings settings_;
  std::shared_ptr<LogSource> source_;
  LogFile file_;
  LogRelief& relief_;
  std::uint64_t moved_ = 0;
  bool failing_ = false;
  Clock::time_point retry_at_{};
  int news_of_failure_ = 0;
};

}  // namespace bulkhead::supervisor
