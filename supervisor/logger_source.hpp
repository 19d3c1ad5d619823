// The read end of one log pipe: look first, take away afterwards. What was seen but not yet taken is
// still in the pipe when the logger is killed, so a chunk may come twice and is never lost. Used by
// the logger's streams and by its relief; knows nothing of files.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::supervisor {

inline constexpr std::size_t log_chunk_bytes_max = std::size_t{64} << 10;

// Where looked-at bytes go; one serves all sources of a thread.
class LogScratch {
 public:
  static Result<LogScratch> make();

 private:
  friend class LogSource;
  base::FdPair pipe_;
  base::UniqueFd nowhere_;  // /dev/null
  std::vector<char> bytes_ = std::vector<char>(log_chunk_bytes_max);
};

// Threads: look, take, discard: the logger's loop; relieve, which may come at any time in between: its relief.
class LogSource {
 public:
  explicit LogSource(base::UniqueFd pipe) : pipe_(std::move(pipe)) {}

  struct Look {
    enum class Kind { bytes, nothing, ended, broken } kind;
    std::string_view bytes;  // in the scratch
  };
  // The next bytes, at most a chunk; whole lines when more follow. They stay in the pipe.
  Look look(LogScratch&);
  // Takes the first bytes of what was looked at, and counts as dropped what relief took beyond them.
  void take(LogScratch&, std::size_t bytes);
  // Takes up to so many without looking, and counts them as dropped. Returns how many.
  std::size_t discard(LogScratch&, std::size_t bytes);

  // Empties the pipe when it is filling up. Returns the bytes taken.
  std::size_t relieve(LogScratch&);

  std::uint64_t dropped() const;
  void told_of_dropped(std::uint64_t bytes);
  std::size_t readable() const noexcept;
  bool is_same_pipe(int fd) const noexcept;
  int fd() const noexcept { return pipe_.get(); }

 private:
  std::size_t remove(LogScratch&, std::size_t bytes) noexcept;

  const base::UniqueFd pipe_;
  mutable std::mutex mutex_;
  bool looking_ = false;       // between look and take
  std::size_t relieved_ = 0;   // taken by relief in that time
  std::uint64_t dropped_ = 0;  // not yet told in the log
};

}  // namespace bulkhead::supervisor
