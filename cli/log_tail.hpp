// Reads one rotated log as one stream: NAME is what is being written, NAME.1 the one before it, and
// so on. Used by `logs`. Knows nothing of workers.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "base/fd.hpp"

namespace bulkhead::cli {

// Threads: one at a time. A log that is not there yet is empty.
class LogTail {
 public:
  explicit LogTail(std::string path) : path_(std::move(path)) {}

  // The last `count` lines, reaching back into rotated files where the newest has fewer; what
  // read_new() returns goes on behind them.
  std::string last_lines(std::size_t count);

  // All that was written since, across rotations; may end inside a line.
  std::string read_new();

 private:
  void open_newest();
  void open_oldest_after_current();
  std::string rest_of_current();
  bool current_is(const std::string& path) const;
  std::string rotated(int number) const { return path_ + "." + std::to_string(number); }

  std::string path_;
  base::UniqueFd file_;
};

}  // namespace bulkhead::cli
