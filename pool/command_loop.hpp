// The loop behind run_jobs(): hands out inputs, hears of deaths, keeps times. Used by command_jobs.cpp alone.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <vector>

#include "pool/command_printer.hpp"
#include "pool/command_process.hpp"

namespace bulkhead::pool {

class JobLoop {
 public:
  JobLoop(const CommandTemplate&, CommandStarter, const JobsOptions&, JobsObserver&);
  Result<JobsSummary> run();

 private:
  using Clock = std::chrono::steady_clock;

  enum class Phase {
    running,
    asked_to_end,
    killed,
    swept
  };  // swept: but the leader's group still is
  struct Slot {
    CommandJob* job = nullptr;  // none: free
    CommandProcess process;
    Phase phase = Phase::running;
    Clock::time_point started, due;             // due: when the phase has taken too long
    Clock::time_point given_up;                 // of the phase swept
    Clock::time_point watch_due;                // when its pipes are to be looked after
    base::ExitStatus status = base::Exited{0};  // in the phase swept
    JobCause ended_by = JobCause::done;         // why it is we who end it
    std::string reason;
  };

  Result<void> open();
  Result<void> watch(int fd, std::uint32_t events, std::uint64_t tag);
  bool is_over() const;
  JobsProgress progress() const;

  // Inputs and starts.
  Result<void> read_inputs();
  void hand_out();
  CommandJob* next_job();
  bool has_next_job() const;
  bool start(CommandJob&, Slot&);
  void settle(CommandJob&, bool may_retry);

  // What happens.
  void wait();
  Clock::duration patience(bool printing) const;
  void take_event(std::uint64_t tag);
  void read_pipe(Slot&, bool errors);
  void lose_output(Slot&, const Error& why);
  void hear_of_deaths();
  void take_death(Slot&);
  void finish_attempt(Slot&);
  void hear_from_lifeline();
  void print();

  // Ends.
  void check_times();
  void watch_pipes(Slot&);
  void take_too_long(Slot&, Clock::time_point now);
  void ask_to_end(Slot&, JobCause why);
  void kill(Slot&);
  void stop(int signal);
  void kill_all();
  void leave_behind(const Slot&);
  void end_strays();

  const CommandTemplate& command_;
  CommandStarter starter_;
  const JobsOptions options_;
  OutputStore store_;
  CommandInputs inputs_;
  JobPrinter printer_;
  std::deque<CommandJob>
      jobs_;  // from the oldest that is not printed to the newest that was handed out
  std::deque<CommandJob*> again_;  // of those the ones to be started anew
  std::vector<Slot> slots_;
  std::size_t busy_ = 0;
  std::vector<std::string> argv_;
  std::vector<char> buffer_;
  base::UniqueFd epoll_, deaths_;
  bool input_is_watched_ = false, input_is_file_ = false, printer_is_watched_ = false;
  bool more_to_print_ = false;
  bool scarce_ = false;  // nothing is started until somebody has ended
  int printer_fd_ = -1;
  Clock::time_point progress_due_;
  // After a stop: when nobody is waited for any more who does not read.
  Clock::time_point unread_due_ = Clock::time_point::max();
  std::optional<Error> input_failure_;
  JobsSummary summary_;
};

}  // namespace bulkhead::pool
