// Looking into a pipe without taking anything out: tee(2).
#include "supervisor/logger_source.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead::supervisor {

Result<LogScratch> LogScratch::make() {
  LogScratch scratch;
  auto pipe = base::make_pipe();
  if (!pipe) return pipe.error();
  scratch.pipe_ = std::move(*pipe);
  scratch.nowhere_.reset(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!scratch.nowhere_.is_open()) return errno_error(errno, "open /dev/null");
  return scratch;
}

// A pipe with unread bytes and no writer is still readable; only tee's 0 means the end.
LogSource::Look LogSource::look(LogScratch& scratch) {
  const std::lock_guard lock(mutex_);
  ssize_t seen = 0;
  do {
    seen = ::tee(pipe_.get(), scratch.pipe_.second.get(), log_chunk_bytes_max, SPLICE_F_NONBLOCK);
  } while (seen < 0 && errno == EINTR);
  if (seen < 0) return {errno == EAGAIN ? Look::Kind::nothing : Look::Kind::broken, {}};
  if (seen == 0) return {Look::Kind::ended, {}};

  const auto size = static_cast<std::size_t>(seen);
  for (std::size_t got = 0; got < size;) {  // our own pipe: what was teed is there
    const ssize_t part = ::read(scratch.pipe_.first.get(), scratch.bytes_.data() + got, size - got);
    BULKHEAD_ASSERT(part > 0 || (part < 0 && errno == EINTR));
    if (part > 0) got += static_cast<std::size_t>(part);
  }
  looking_ = true;
  relieved_ = 0;
  std::string_view bytes(scratch.bytes_.data(), size);
  const std::size_t last_line = bytes.rfind('\n');
  if (readable() > size && last_line != std::string_view::npos) {
    bytes = bytes.substr(0, last_line + 1);
  }
  return {Look::Kind::bytes, bytes};
}

void LogSource::take(LogScratch& scratch, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (relieved_ > bytes) dropped_ += relieved_ - bytes;
  if (relieved_ < bytes) remove(scratch, bytes - relieved_);
  looking_ = false;
  relieved_ = 0;
}

std::size_t LogSource::discard(LogScratch& scratch, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::size_t removed = remove(scratch, std::min(bytes, readable()));
  dropped_ += removed;
  return removed;
}

// A quarter of the capacity in bytes may already be all of its pages: two writes of just over half a
// page do not share one.
std::size_t LogSource::relieve(LogScratch& scratch) {
  const std::lock_guard lock(mutex_);
  const std::size_t waiting = readable();
  const int capacity = ::fcntl(pipe_.get(), F_GETPIPE_SZ);
  if (capacity > 0 && waiting < static_cast<std::size_t>(capacity) / 4) return 0;
  const std::size_t removed = remove(scratch, waiting);
  if (looking_) {
    relieved_ += removed;
  } else {
    dropped_ += removed;
  }
  return removed;
}

std::size_t LogSource::remove(LogScratch& scratch, std::size_t bytes) noexcept {
  std::size_t removed = 0;
  while (removed < bytes) {
    const ssize_t part = ::splice(pipe_.get(), nullptr, scratch.nowhere_.get(), nullptr,
                                  bytes - removed, SPLICE_F_NONBLOCK);
    if (part > 0) {
      removed += static_cast<std::size_t>(part);
    } else if (part == 0 || errno != EINTR) {
      break;
    }
  }
  return removed;
}

std::uint64_t LogSource::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void LogSource::told_of_dropped(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  dropped_ -= bytes;
}

std::size_t LogSource::readable() const noexcept {
  int bytes = 0;
  return ::ioctl(pipe_.get(), FIONREAD, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

bool LogSource::is_same_pipe(int fd) const noexcept {
  struct stat ours {
  }, theirs{};
  return ::fstat(pipe_.get(), &ours) == 0 && ::fstat(fd, &theirs) == 0 &&
         ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

}  // namespace bulkhead::supervisor
