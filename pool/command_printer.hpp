// Prints finished jobs, each whole and in its turn, as far as the readers of our output let it. Used by the loop that
// runs commands, which it never holds up.
#pragma once

#include <deque>
#include <string>

#include "pool/command_inputs.hpp"
#include "pool/command_jobs.hpp"
#include "pool/command_output.hpp"
#include "pool/command_stream.hpp"

namespace bulkhead::pool {

// An input from when it is first handed out until it is printed.
struct CommandJob {
  CommandJob(CommandInput input_taken, OutputStore& store)
      : input(std::move(input_taken)), output(store), errors(store) {}

  CommandInput input;
  JobReport report;
  CommandOutput output, errors;
  bool finished = false;
};

class JobPrinter {
 public:
  JobPrinter(const JobsOptions&, JobsObserver&);

  // Takes away from the front what is finished. True: there is more to print at once.
  bool print(std::deque<CommandJob>& jobs);
  void show_progress(const JobsProgress&);
  void take_progress_away();

  bool idle() const noexcept { return text_.empty(); }
  // Who must become writable first; -1: nobody.
  int blocked_on() const noexcept { return blocked_on_; }
  // Nothing is written from now on, and jobs are taken away all the same.
  void give_up();
  bool dropped() const noexcept { return dropped_; }

  bool failed() const noexcept { return failed_; }
  bool reader_is_gone() const noexcept { return reader_is_gone_; }
  const std::string& failure() const noexcept { return failure_; }

 private:
  bool write(CommandStream& to, std::string_view text, std::size_t& written);
  bool move(CommandOutput& from, CommandStream& to);
  bool write_text();
  void fail(const Error&, const char* what);

  JobsObserver& observer_;
  CommandStream output_, errors_;
  std::string text_;  // for stderr, after what the jobs wrote there
  std::size_t budget_ = 0;
  int blocked_on_ = -1;
  bool given_up_ = false, dropped_ = false, failed_ = false, reader_is_gone_ = false,
       progress_shown_ = false;
  bool amid_line_ = false;  // of a terminal
  std::string failure_;
};

}  // namespace bulkhead::pool
