// From pipe to file, and what becomes of output that the file does not take.
#include "supervisor/logger_stream.hpp"

namespace bulkhead::supervisor {

LogStream::LogStream(LogSettings settings, base::UniqueFd pipe, LogRelief& relief)
    : settings_(std::move(settings)),
      source_(std::make_shared<LogSource>(std::move(pipe))),
      file_(settings_.path, settings_.limits),
      relief_(relief) {
  if (settings_.drop) relief_.watch(source_);
}

LogStream::~LogStream() { relief_.unwatch(source_.get()); }

void LogStream::change(const LogSettings& settings) {
  if (settings.path != settings_.path) file_ = LogFile(settings.path, settings.limits);
  file_.set_limits(settings.limits);
  relief_.unwatch(source_.get());
  if (settings.drop) relief_.watch(source_);
  settings_ = settings;
}

LogStream::Turn LogStream::turn(LogScratch& scratch, Clock::time_point now) {
  if (!may_try(now)) {
    if (!settings_.drop) return Turn::blocked;
    const std::size_t discarded = source_->discard(scratch, log_chunk_bytes_max);
    moved_ += discarded;
    if (discarded > 0) return Turn::moved;
  }
  const LogSource::Look look = source_->look(scratch);
  switch (look.kind) {
    case LogSource::Look::Kind::nothing: return Turn::empty;
    case LogSource::Look::Kind::ended:
    case LogSource::Look::Kind::broken: return Turn::ended;
    case LogSource::Look::Kind::bytes: break;
  }
  int error = tell_of_dropped();
  std::size_t written = 0;
  if (error == 0) {
    const Appended appended = write(look.bytes);
    written = appended.bytes;
    error = appended.error;
  }
  source_->take(scratch, written);
  moved_ += written;
  if (error == 0) {
    failing_ = false;
    return Turn::moved;
  }
  failed(error, now);
  if (!settings_.drop) return Turn::blocked;
  moved_ += source_->discard(scratch, look.bytes.size() - written);
  return Turn::moved;
}

bool LogStream::settle(Clock::time_point now) {
  if (source_->dropped() == 0) return true;
  if (!may_try(now)) return false;
  if (const int error = tell_of_dropped(); error != 0) {
    failed(error, now);
    return false;
  }
  failing_ = false;
  return true;
}

int LogStream::tell_of_dropped() {
  const std::uint64_t dropped = source_->dropped();
  if (dropped == 0) return 0;
  const std::string line = (file_.at_line_start() ? "" : "\n") + std::string("[bulkhead: ") +
                           std::to_string(dropped) + " bytes of output dropped here]\n";
  const Appended appended = write(line);
  if (appended.error == 0) source_->told_of_dropped(dropped);
  return appended.error;
}

Appended LogStream::write(std::string_view text) {
  relief_.write_begins();
  const Appended appended = file_.append(text);
  relief_.write_ends();
  return appended;
}

void LogStream::failed(int error, Clock::time_point now) noexcept {
  if (!std::exchange(failing_, true)) news_of_failure_ = error;
  retry_at_ = now + retry_period;
}

}  // namespace bulkhead::supervisor
