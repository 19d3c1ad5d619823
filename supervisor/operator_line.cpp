#include "supervisor/operator_line.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t text_most = 4000;  // with its frame less than PIPE_BUF: whole, or not at all

// Opened anew, since O_NONBLOCK belongs to the open file, which others share. A socket cannot be (proc_pid_fd(5)).
bool write_at_once(const std::string& line) {
  static const int own =
      ::open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  const ssize_t written =
      own >= 0 ? ::write(own, line.data(), line.size())
               : ::send(STDERR_FILENO, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return written >= 0;
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
