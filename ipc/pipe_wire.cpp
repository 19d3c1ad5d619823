// pipe: two pipes, one per direction. A pipe has no MSG_DONTWAIT and no MSG_NOSIGNAL, so its ends are
// O_NONBLOCK (each end's file description belongs to one side of the pair) and SIGPIPE is kept away
// from the process: by RWF_NOSIGNAL where the kernel has it (Linux 6.18), else by blocking the signal
// in this thread around the write and taking back the one that the write raised.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <string>

#include "ipc/wire.hpp"

namespace bulkhead::ipc {
namespace {

constexpr int rwf_nosignal = 0x100;  // linux/fs.h since 6.18; glibc's headers are older

// Half of the default fs.pipe-max-size: the other half is what make_room() can add at the end.
constexpr std::size_t pipe_bytes_max = std::size_t{512} << 10;

// relaxed: a hint that each thread may find out for itself.
std::atomic<bool> nosignal_unsupported{false};

class SigpipeBlock {
 public:
  SigpipeBlock() noexcept {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  // A SIGPIPE that was pending before us is somebody else's and stays.
  ~SigpipeBlock() {
    const int saved = errno;
    if (raised_ && !was_pending_) {
      const timespec at_once{0, 0};
      while (sigtimedwait(&sigpipe_, nullptr, &at_once) < 0 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = saved;
  }
  SigpipeBlock(const SigpipeBlock&) = delete;
  SigpipeBlock& operator=(const SigpipeBlock&) = delete;
  void raised() noexcept { raised_ = true; }

 private:
  sigset_t sigpipe_, before_;
  bool was_pending_ = false, raised_ = false;
};

ssize_t write_blocking_sigpipe(int fd, std::span<iovec> parts) noexcept {
  SigpipeBlock block;
  const ssize_t n = ::writev(fd, parts.data(), static_cast<int>(parts.size()));
  if (n < 0 && errno == EPIPE) block.raised();
  return n;
}

ssize_t write_without_sigpipe(int fd, std::span<iovec> parts) noexcept {
  if (!nosignal_unsupported.load(std::memory_order_relaxed)) {  // relaxed: see its definition
    const ssize_t n =
        ::pwritev2(fd, parts.data(), static_cast<int>(parts.size()), -1, rwf_nosignal);
    if (n >= 0 || (errno != EOPNOTSUPP && errno != EINVAL)) return n;
    nosignal_unsupported.store(true, std::memory_order_relaxed);  // relaxed: see its definition
  }
  return write_blocking_sigpipe(fd, parts);
}

class PipeWire final : public Wire {
 public:
  PipeWire(base::UniqueFd read_end, base::UniqueFd write_end) noexcept
      : read_end_(std::move(read_end)), write_end_(std::move(write_end)) {}

  bool keeps_packets() const noexcept override { return false; }
  int read_fd() const noexcept override { return read_end_.get(); }
  int write_fd() const noexcept override { return write_end_.get(); }
  // A dead peer's bytes lie in the pipe itself.
  std::chrono::milliseconds settle_time() const noexcept override {
    return std::chrono::milliseconds(0);
  }

  IoStatus read(std::span<iovec> parts) noexcept override {
    for (;;) {
      const ssize_t n = ::readv(read_end_.get(), parts.data(), static_cast<int>(parts.size()));
      if (n >= 0) return {static_cast<std::size_t>(n), 0};
      if (errno != EINTR) return {0, errno};
    }
  }

  IoStatus write(std::span<iovec> parts) noexcept override {
    for (;;) {
      const ssize_t n = write_without_sigpipe(write_end_.get(), parts);
      if (n >= 0) return {static_cast<std::size_t>(n), 0};
      if (errno != EINTR) return {0, errno};
    }
  }

  bool hung_up() const noexcept override {
    pollfd look[2] = {{read_end_.get(), 0, 0}, {write_end_.get(), 0, 0}};
    return ::poll(look, 2, 0) > 0 &&
           ((look[0].revents & POLLHUP) != 0 || (look[1].revents & POLLERR) != 0);
  }

  void make_room(std::size_t bytes) noexcept override {
    const int now = ::fcntl(write_end_.get(), F_GETPIPE_SZ);
    if (now > 0) ::fcntl(write_end_.get(), F_SETPIPE_SZ, now + static_cast<int>(bytes));
  }

 private:
  base::UniqueFd read_end_, write_end_;
};

Result<void> check_pipe_end(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return errno_error(errno, "descriptor given as a link's pipe");
  if (!S_ISFIFO(status.st_mode)) {
    return make_error(Errc::invalid_argument,
                      "descriptor " + std::to_string(fd) + " is not an end of a pipe");
  }
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return errno_error(errno, "make an end of a link's pipe non-blocking");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Wire>> open_pipe_wire(base::UniqueFd read_end, base::UniqueFd write_end,
                                             const ChannelOptions& options) {
  for (const int fd : {read_end.get(), write_end.get()}) {
    if (auto fits = check_pipe_end(fd); !fits) return fits.error();
  }
  // Best effort: an unprivileged user beyond fs.pipe-user-pages-soft keeps what the pipe has.
  ::fcntl(write_end.get(), F_SETPIPE_SZ,
          static_cast<int>(std::min(options.capacity, pipe_bytes_max)));
  return std::unique_ptr<Wire>(
      std::make_unique<PipeWire>(std::move(read_end), std::move(write_end)));
}

}  // namespace bulkhead::ipc
