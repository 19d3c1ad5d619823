#include "base/fd.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace bulkhead::base {
namespace {

// Linux closes the descriptor even when close() says EINTR (close(2), "Dealing with error
// returns"), so a retry could close somebody else's.
void close_quietly(int fd) noexcept {
  const int saved = errno;
  ::close(fd);
  errno = saved;
}

}  // namespace

void UniqueFd::reset(int fd) noexcept {
  if (fd_ >= 0) close_quietly(fd_);
  fd_ = fd;
}

Result<UniqueFd> duplicate(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return errno_error(errno, "duplicate descriptor " + std::to_string(fd));
  return UniqueFd{copy};
}

Result<FdPair> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  return FdPair{UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

Result<FdPair> make_socketpair(int type) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return errno_error(errno, "make a socketpair");
  }
  return FdPair{UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

Result<UniqueFd> make_memfd(const char* name, bool sealable) {
  const int fd = ::memfd_create(name, MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0U));
  if (fd < 0) return errno_error(errno, std::string("make memory file ") + name);
  return UniqueFd{fd};
}

Result<UniqueFd> open_pidfd(int pid) {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return errno_error(errno, "open pidfd of " + std::to_string(pid));
  return UniqueFd{static_cast<int>(fd)};
}

Result<std::string> read_file(const std::string& path) {
  UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file.is_open()) return errno_error(errno, path);
  std::string text;
  std::array<char, 16384> chunk;
  for (;;) {
    const ssize_t n = ::read(file.get(), chunk.data(), chunk.size());
    if (n == 0) return text;
    if (n > 0) {
      text.append(chunk.data(), static_cast<std::size_t>(n));
    } else if (errno != EINTR) {
      return errno_error(errno, path);
    }
  }
}

Result<void> set_cloexec(int fd, bool on) {
  if (::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) != 0) {
    return errno_error(errno, "set close-on-exec of descriptor " + std::to_string(fd));
  }
  return {};
}

}  // namespace bulkhead::base
