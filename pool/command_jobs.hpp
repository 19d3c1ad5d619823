// Runs a command for each input, some at a time, and prints what each wrote in the order of the inputs. One thread, one
// loop. Used by `map`. Knows nothing of terminals and JSON.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pool/command_template.hpp"

namespace bulkhead::pool {

// How the last attempt of an input went. In reports: never renamed.
enum class JobCause : std::uint8_t {
  done,          // exit code 0
  exit_code,     // another one
  signal,        // died of it
  timeout,       // was ended for taking too long
  start_failed,  // could not be started
  output_lost,   // what it wrote could not be kept
  interrupted,   // was ended because everything was to end
};
const char* to_string(JobCause) noexcept;

struct JobReport {
  std::uint64_t index = 0;
  std::string input;
  std::uint32_t attempts = 0;
  JobCause cause = JobCause::done;
  int code =
      0;  // exit code or signal, by the cause; of one that timed out how it ended does not matter
  std::string reason;                    // in words, where the cause alone does not say it
  std::chrono::nanoseconds duration{0};  // of the last attempt

  bool quarantined() const noexcept {
    return cause != JobCause::done && cause != JobCause::interrupted;
  }
};

struct JobsProgress {
  std::uint64_t finished = 0, quarantined = 0;
  std::uint64_t running = 0;
  std::uint64_t inputs = 0;  // read so far; all of them when the next is true
  bool inputs_ended = false;
};

class JobsObserver {
 public:
  virtual ~JobsObserver() = default;
  // In the order of the inputs, when its output was printed. Returns what else is to go to stderr.
  virtual std::string done(const JobReport&) = 0;
  // A line that is redrawn, and what takes it away again. Asked for only with JobsOptions::shows_progress.
  virtual std::string progress(const JobsProgress&) = 0;
  virtual std::string progress_erased() = 0;
};

struct JobsOptions {
  std::size_t workers = 1;
  std::chrono::nanoseconds timeout{0};  // 0: none
  std::chrono::nanoseconds grace = std::chrono::seconds(5);
  std::uint32_t retries = 0;
  char separator = '\n';
  bool shows_progress = false;
  int input = 0, output = 1, errors = 2;  // borrowed
  int lifeline = -1;                      // see run_guarded(); -1: none
  std::string spill_directory = "/tmp";
  // Nothing is started that far ahead of the oldest input that is not printed.
  std::size_t window_inputs = 1024;
  std::uint64_t window_bytes = std::uint64_t{256} << 20;
  std::size_t memory_max = std::size_t{64} << 20;  // of output in memory
};

struct JobsSummary {
  JobsProgress progress;
  std::uint64_t attempts = 0;
  int stopped_by = 0;           // the signal; SIGPIPE: nobody reads our output any more
  bool output_dropped = false;  // what nobody had read when it was to end
  std::string write_failure;    // why our output could not be written
  std::string left_behind;      // who could not be killed
};

// How many descriptors it takes to run that many at a time.
std::size_t descriptors_for(std::size_t workers) noexcept;

// Blocking: until all is done and nobody is left. Makes this process a subreaper, blocks SIGCHLD and waits for all its
// children: no others may be there. Errors: what keeps it from beginning, or from reading inputs.
Result<JobsSummary> run_jobs(const CommandTemplate&, const JobsOptions&, JobsObserver&);

}  // namespace bulkhead::pool
