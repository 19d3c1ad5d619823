#include "cli/outcome.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace bulkhead::cli {

Outcome outcome_of(const Error& error) noexcept {
  if (error.is(Errc::no_system)) return Outcome::no_system;
  if (error.is(Errc::not_permitted)) return Outcome::not_permitted;
  if (error.is(Errc::bad_config)) return Outcome::bad_config;
  if (error.is(Errc::invalid_argument)) return Outcome::usage;
  if (error.code == boost::system::errc::permission_denied ||
      error.code == boost::system::errc::operation_not_permitted) {
    return Outcome::not_permitted;
  }
  return Outcome::failed;
}

Outcome complain(Outcome outcome, std::string_view sentence) {
  std::string line = "bulkhead: ";
  for (const char c : sentence) {
    const bool is_control = static_cast<unsigned char>(c) < ' ' || c == '\x7f';
    line += is_control ? ' ' : c;
  }
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
  return outcome;
}

std::string sentence_of(const Error& error) {
  // The context of these says it all; of others the code is half of the sentence.
  const bool whole = error.is(Errc::no_system) || error.is(Errc::invalid_argument) ||
                     error.is(Errc::already_exists) || error.is(Errc::exec_failed);
  return whole && !error.context.empty() ? error.context : error.to_string();
}

Outcome complain(const Error& error) { return complain(outcome_of(error), sentence_of(error)); }

void reserve_standard_streams() noexcept {
  for (int fd = 0; fd < 3; ++fd) {
    // Writing to a stream that is open for reading fails as writing to a closed one does.
    if (::fcntl(fd, F_GETFD) < 0) (void)!::open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
}

Outcome finish_output(Outcome outcome) {
  const bool failed_before = std::ferror(stdout) != 0;
  int failure = failed_before ? errno : 0;
  if (std::fflush(stdout) != 0) {
    failure = errno;
  } else if (!failed_before) {
    return outcome;
  }
  pollfd reader{STDOUT_FILENO, 0, 0};
  ::poll(&reader, 1, 0);
  if (failure == EPIPE || (reader.revents & (POLLERR | POLLHUP)) != 0) return outcome;
  const std::string reason = failure == 0 ? "a write failed" : std::strerror(failure);
  complain(Outcome::failed, "cannot write to standard output: " + reason);
  return outcome == Outcome::done ? Outcome::failed : outcome;
}

}  // namespace bulkhead::cli
