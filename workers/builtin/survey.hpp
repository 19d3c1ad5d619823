// Finds the files of a directory and cuts them into jobs. Used by the splitter. Must not know who
// does the jobs.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "workers/builtin/job.hpp"

namespace bulkhead::workers {

// Cuts one text, given piece by piece, into ranges that break no word: a range ends after the first
// white space at or after its last wanted byte. So ranges are a little longer than asked for, and a
// text without white space is one range.
class Cutter {
 public:
  struct Range {
    std::uint64_t offset, length;
  };
  explicit Cutter(std::uint64_t range_bytes) : range_bytes_(range_bytes) {}

  void feed(std::string_view piece);
  std::vector<Range> finish();  // after the last piece; nothing for an empty text

 private:
  std::uint64_t range_bytes_;
  std::uint64_t begin_ = 0, at_ = 0;
  std::vector<Range> ranges_;
};

struct Unreadable {
  std::string path, reason;
};

struct Survey {
  std::vector<std::string> files;  // sorted; regular ones, links are not followed
  std::vector<Job> jobs;
  std::vector<Unreadable> unreadable;
};

struct JobLimits {
  std::uint64_t job_bytes;    // of text; a job has a little more, for the sake of whole words
  std::size_t message_bytes;  // what a job's message is kept below, by having fewer pieces
  std::size_t message_max;    // what no message can exceed
};

// Reads every file once, which also brings it into the page cache, so that a comparison of two ways
// to count compares the counting. `go_on` is asked before each file.
// Small files share a job. Errors: of the directory itself; cancelled when `go_on` says no.
[[nodiscard]] Result<Survey> survey(const std::string& directory, std::uint64_t round,
                                    const JobLimits& limits, const std::function<bool()>& go_on);

// The bytes of a range of a file, fewer when it has become shorter. `buffer` is reused.
[[nodiscard]] Result<std::string_view> read_range(const std::string& path, std::uint64_t offset,
                                                  std::uint64_t length, std::string& buffer);
// All of it.
[[nodiscard]] Result<std::string_view> read_whole(const std::string& path, std::string& buffer);

}  // namespace bulkhead::workers
