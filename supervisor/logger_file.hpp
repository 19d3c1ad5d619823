// One log file and its rotation: path, path.1 (the newest of the old) … path.keep. Used by the
// logger's streams; knows nothing of pipes, nor of what to do when the disk is full.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.hpp"

namespace bulkhead::supervisor {

struct RotationLimits {
  std::uint64_t max_size = std::uint64_t{16} << 20;
  std::uint32_t keep = 5;  // old files; 0: what does not fit is given up
};

struct Appended {
  std::size_t bytes = 0;  // so many are in the file
  int error = 0;          // errno of what kept the rest out; 0: all went in
};

// Opens lazily and again after each error or when somebody has deleted the file; makes the directory.
// No file grows over max_size; it ends with a whole line unless one line is longer than what fits.
// Threads: one. Blocking: as long as the disk does.
class LogFile {
 public:
  LogFile(std::string path, RotationLimits limits) : path_(std::move(path)) { set_limits(limits); }

  Appended append(std::string_view text);
  // The last lines, of the file and where that is short of its predecessor, together no longer than that; of a
  // line that is, the end. "" where nothing can be read.
  std::string tail(std::size_t lines, std::size_t bytes) const;
  void set_limits(RotationLimits) noexcept;
  const std::string& path() const noexcept { return path_; }
  bool at_line_start() const noexcept { return at_line_start_; }

 private:
  int open();  // errno
  int look_at_file();
  int rotate();
  bool end_torn_line();
  std::size_t part_that_fits(std::string_view) const noexcept;
  std::string old_path(std::uint32_t number) const;

  std::string path_;
  RotationLimits limits_;
  base::UniqueFd fd_;
  std::uint64_t size_ = 0;
  bool regular_ = true;  // else: a fifo or a device, which has no size to limit
  bool at_line_start_ = true;
  bool opened_before_ = false;
};

}  // namespace bulkhead::supervisor
