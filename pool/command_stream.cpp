#include "pool/command_stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>

namespace bulkhead::pool {
namespace {

Result<std::optional<std::size_t>> outcome_of_transfer(ssize_t n, const char* what) {
  if (n >= 0) return std::optional(static_cast<std::size_t>(n));
  if (errno == EAGAIN || errno == EINTR) return std::optional<std::size_t>();
  return errno_error(errno, what);
}

}  // namespace

CommandStream::CommandStream(int fd, Direction direction)
    : fd_(fd), event_(direction == Direction::reads ? POLLIN : POLLOUT) {
  struct stat file {};
  if (::fstat(fd, &file) != 0) return;  // the first transfer says why
  is_terminal_ = ::isatty(fd) == 1;
  if (S_ISSOCK(file.st_mode)) {
    kind_ = Kind::socket;
  } else if (S_ISFIFO(file.st_mode) || is_terminal_) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const int access = direction == Direction::reads ? O_RDONLY : O_WRONLY;
    own_.reset(::open(path.c_str(), access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    // Refused for a pipe of another user, and where the reader has gone; a transfer tells then.
    kind_ = own_.is_open() ? Kind::reopened : Kind::looked_at_first;
  }
}

bool CommandStream::may_block_now() const noexcept {
  if (kind_ != Kind::looked_at_first) return false;
  pollfd entry{fd_, event_, 0};
  return ::poll(&entry, 1, 0) == 0;
}

Result<std::optional<std::size_t>> CommandStream::read(std::span<char> buffer) {
  if (may_block_now()) return std::optional<std::size_t>();
  const ssize_t n = kind_ == Kind::socket ? ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT)
                                          : ::read(poll_fd(), buffer.data(), buffer.size());
  return outcome_of_transfer(n, "read standard input");
}

Result<std::optional<std::size_t>> CommandStream::write(std::string_view text) {
  if (may_block_now()) return std::optional<std::size_t>();
  if (kind_ == Kind::socket) {
    return outcome_of_transfer(::send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL),
                               "write");
  }
  // A pipe that poll(2) calls writable has room for that much.
  const std::size_t bytes =
      kind_ == Kind::looked_at_first ? std::min<std::size_t>(text.size(), PIPE_BUF) : text.size();
  return outcome_of_transfer(::write(poll_fd(), text.data(), bytes), "write");
}

}  // namespace bulkhead::pool
