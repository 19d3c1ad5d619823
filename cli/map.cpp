// `map`: a command for each line of standard input, in contained processes.
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/map_report.hpp"
#include "cli/terminal.hpp"
#include "pool/command_guard.hpp"
#include "pool/command_jobs.hpp"

namespace bulkhead::cli {
namespace {

using ReportFile = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Result<std::chrono::nanoseconds> positive_span(const char* option, const std::string& text) {
  const auto span = base::parse_duration(text);
  if (!span) return make_error(Errc::invalid_argument, option + (": " + span.error().context));
  if (span->count() > 0) return *span;
  return make_error(Errc::invalid_argument,
                    std::string(option) + ": " + text + " is no time (expected 1s or so)");
}

// As many as are wanted, or as the limit of descriptors lets run when nobody said how many.
Result<std::size_t> workers_of(const MapOptions& options) {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  const bool known = ::sched_getaffinity(0, sizeof usable, &usable) == 0;
  const auto wanted =
      options.workers.value_or(known ? static_cast<std::uint32_t>(CPU_COUNT(&usable)) : 1);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (pool::descriptors_for(wanted) <= limit.rlim_max) return wanted;
  std::size_t possible = wanted;
  while (possible > 0 && pool::descriptors_for(possible) > limit.rlim_max) --possible;
  const auto limit_text = std::to_string(limit.rlim_max) + " descriptors (ulimit -Hn)";
  const auto needed = std::to_string(pool::descriptors_for(wanted));
  if (options.workers || possible == 0) {
    return make_error(
        Errc::invalid_argument,
        std::to_string(wanted) + " workers take " + needed + " descriptors, and the limit is " +
            limit_text +
            (possible > 0 ? "; --workers " + std::to_string(possible) + " fits" : "; raise it"));
  }
  complain(Outcome::done,
           "only " + std::to_string(possible) + " at a time: the limit is " + limit_text);
  return possible;
}

Result<pool::JobsOptions> jobs_options(const MapOptions& options) {
  pool::JobsOptions jobs;
  if (!options.timeout.empty()) {
    const auto timeout = positive_span("--timeout", options.timeout);
    if (!timeout) return timeout.error();
    jobs.timeout = *timeout;
  }
  const auto grace = positive_span("--grace", options.grace);
  if (!grace) return grace.error();
  jobs.grace = *grace;
  const auto workers = workers_of(options);
  if (!workers) return workers.error();
  jobs.workers = *workers;
  jobs.retries = options.retries;
  jobs.separator = options.null ? '\0' : '\n';
  const char* const terminal = std::getenv("TERM");
  const bool can_redraw = terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
  jobs.shows_progress = !options.no_progress && can_redraw && ::isatty(STDERR_FILENO) == 1;
  const char* const folder = std::getenv("TMPDIR");
  if (folder != nullptr && *folder != '\0') jobs.spill_directory = folder;
  return jobs;
}

std::string count_text(std::uint64_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

// The last line on stderr, and the exit code.
Outcome conclude(const pool::JobsSummary& summary, const MapReport& report) {
  const auto& counts = summary.progress;
  const std::string finished = count_text(counts.finished, "input") + " finished";
  if (!summary.left_behind.empty()) {
    complain(Outcome::failed, "still there after SIGKILL: " + summary.left_behind);
  }
  if (!summary.write_failure.empty()) {
    return complain(Outcome::failed, summary.write_failure + "; " + finished);
  }
  if (summary.stopped_by == SIGPIPE) {
    return complain(Outcome::failed, "nobody reads the output any more; " + finished);
  }
  if (summary.stopped_by != 0) {
    return complain(Outcome{128 + summary.stopped_by},
                    "stopped by " + signal_text(summary.stopped_by) + "; " + finished + ", " +
                        std::to_string(report.interrupted()) + " ended early" +
                        (summary.output_dropped ? "; output that nobody read was dropped" : ""));
  }
  if (counts.quarantined > 0) {
    return complain(Outcome::failed, std::to_string(counts.quarantined) + " of " +
                                         count_text(counts.finished, "input") +
                                         " quarantined: " + report.quarantined_text());
  }
  if (::isatty(STDERR_FILENO) == 1) {
    complain(Outcome::done, finished + " in " + span_text(report.elapsed()));
  }
  return summary.left_behind.empty() ? Outcome::done : Outcome::failed;
}

Outcome run_map(const pool::CommandTemplate& command, const pool::JobsOptions& jobs,
                const MapOptions& options, std::FILE* file) {
  MapReport report({file, options.json || file != nullptr, jobs.timeout});
  const auto summary = pool::run_jobs(command, jobs, report);
  if (!summary) return complain(Outcome::failed, summary.error().to_string());
  const auto line = json_line(report.summary(*summary));
  // Killed, we have nobody left whom it would tell anything; the report is for later.
  const bool is_orphan = summary->stopped_by == SIGKILL;
  if (options.json && !is_orphan) std::fputs(line.c_str(), stdout);
  const Outcome outcome = is_orphan ? Outcome::failed : conclude(*summary, report);
  if (file == nullptr) return outcome;
  std::fputs(line.c_str(), file);
  if (std::fflush(file) == 0 && std::ferror(file) == 0) return outcome;
  complain(Outcome::failed, "cannot write to " + options.report + ": " + std::strerror(errno));
  return outcome == Outcome::done ? Outcome::failed : outcome;
}

}  // namespace

Outcome map(const MapOptions& options) {
  const auto command = pool::CommandTemplate::make(options.command);
  if (!command) return complain(command.error());
  auto jobs = jobs_options(options);
  if (!jobs) return complain(jobs.error());
  ReportFile file(nullptr, &std::fclose);
  if (!options.report.empty()) {
    file.reset(std::fopen(options.report.c_str(), "we"));
    if (!file) {
      return complain(Outcome::failed, "the report cannot be written to " + options.report + ": " +
                                           std::strerror(errno) + " (give --report another path)");
    }
  }
  const auto code = pool::run_guarded([&](int lifeline) {
    jobs->lifeline = lifeline;
    return static_cast<int>(finish_output(run_map(*command, *jobs, options, file.get())));
  });
  return code ? Outcome{*code} : complain(Outcome::failed, sentence_of(code.error()));
}

}  // namespace bulkhead::cli
