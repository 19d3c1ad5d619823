#include "pool/command_printer.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace bulkhead::pool {
namespace {

constexpr std::size_t bytes_at_once = std::size_t{1} << 20;  // then the loop looks for deaths again

}  // namespace

JobPrinter::JobPrinter(const JobsOptions& options, JobsObserver& observer)
    : observer_(observer),
      output_(options.output, CommandStream::Direction::writes),
      errors_(options.errors, CommandStream::Direction::writes) {}

bool JobPrinter::print(std::deque<CommandJob>& jobs) {
  budget_ = bytes_at_once;
  blocked_on_ = -1;
  while (budget_ > 0) {
    if (!write_text()) return budget_ == 0;
    if (jobs.empty() || !jobs.front().finished) return false;
    CommandJob& job = jobs.front();
    if (job.report.cause != JobCause::interrupted) {  // of that there is but a part
      if (!move(job.output, output_) || !move(job.errors, errors_)) return budget_ == 0;
    }
    text_ += observer_.done(job.report);
    jobs.pop_front();
  }
  return true;
}

// False: not all of it went, for now.
bool JobPrinter::move(CommandOutput& from, CommandStream& to) {
  while (!from.empty() && !given_up_) {
    if (budget_ == 0) return false;
    const auto bytes = from.front();
    if (!bytes) {
      fail(bytes.error(), "");
      continue;
    }
    std::size_t written = 0;
    if (!write(to, *bytes, written)) return false;
    from.pop(written);
  }
  return true;
}

bool JobPrinter::write_text() {
  while (!text_.empty()) {
    if (budget_ == 0) return false;
    std::size_t written = 0;
    if (given_up_) {
      text_.clear();
    } else if (!write(errors_, text_, written)) {
      return false;
    }
    text_.erase(0, written);
  }
  return true;
}

bool JobPrinter::write(CommandStream& to, std::string_view text, std::size_t& written) {
  take_progress_away();
  const auto n = to.write(text.substr(0, budget_));
  if (!n) {
    fail(n.error(), &to == &output_ ? "standard output" : "standard error");
    return true;
  }
  if (!*n) {
    blocked_on_ = to.poll_fd();
    return false;
  }
  written = **n;
  if (to.is_terminal() && written > 0) amid_line_ = text[written - 1] != '\n';
  budget_ -= std::min(budget_, written);
  return true;
}

void JobPrinter::fail(const Error& error, const char* what) {
  failed_ = true;
  reader_is_gone_ = error.code.value() == EPIPE;
  failure_ = *what == '\0' ? error.to_string()
                           : std::string("cannot write to ") + what + ": " +
                                 std::strerror(error.code.value());
  give_up();
}

void JobPrinter::give_up() {
  dropped_ = dropped_ || blocked_on_ >= 0;
  given_up_ = true;
  text_.clear();
}

void JobPrinter::show_progress(const JobsProgress& progress) {
  // To take it away would take away the unfinished line before it, too.
  if (given_up_ || blocked_on_ >= 0 || !text_.empty() || amid_line_) return;
  // A line that does not fit now is soon out of date anyway.
  progress_shown_ = bool(errors_.write(observer_.progress(progress)));
}

void JobPrinter::take_progress_away() {
  if (!progress_shown_) return;
  progress_shown_ = false;
  (void)errors_.write(observer_.progress_erased());
}

}  // namespace bulkhead::pool
