#include "supervisor/operator_line.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t text_most = 4000;  // with its frame less than PIPE_BUF: whole, or not at all

// O_NONBLOCK belongs to the open file, which others share, so a terminal or pipe is opened anew; a socket cannot be
// (proc_pid_fd(5)), and a file must not: its place is the shared one's.
int open_anew() noexcept {
  struct stat status {};
  if (::fstat(STDERR_FILENO, &status) != 0 || S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode))
    return -1;
  return ::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

bool write_at_once(const std::string& line) {
  static const int own = open_anew();
  if (own >= 0) return ::write(own, line.data(), line.size()) >= 0;
  if (::send(STDERR_FILENO, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
    return true;
  if (errno != ENOTSOCK) return false;
  pollfd stream{STDERR_FILENO, POLLOUT,
                0};  // a file, which always takes it; or what may not be opened
  if (::poll(&stream, 1, 0) != 1 || (stream.revents & POLLOUT) == 0) return false;
  return ::write(STDERR_FILENO, line.data(), line.size()) >= 0;
}

}  // namespace

void tell_operator(std::string_view text) {
  static std::size_t unsaid = 0;
  std::string line = "bulkhead: ";
  if (unsaid != 0) line += "(" + std::to_string(unsaid) + " lines lost before) ";
  line.append(text.substr(0, text_most)).append("\n");
  unsaid = write_at_once(line) ? 0 : unsaid + 1;
}

}  // namespace bulkhead::supervisor
