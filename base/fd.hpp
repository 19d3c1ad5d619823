// Descriptors with one owner. Everything here is close-on-exec from birth: a descriptor reaches a
// child only when the spawn plan names it.
#pragma once

#include <bulkhead/error.hpp>
#include <string>
#include <utility>

namespace bulkhead::base {

// Taking a UniqueFd by value takes ownership; taking an int borrows for the call.
class UniqueFd {
 public:
  UniqueFd() noexcept = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }
  explicit operator bool() const = delete;  // `if (fd)` reads like a test for zero

  int get() const noexcept { return fd_; }
  bool is_open() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

struct FdPair {
  UniqueFd first, second;
};

[[nodiscard]] Result<UniqueFd> duplicate(int fd);        // F_DUPFD_CLOEXEC
[[nodiscard]] Result<FdPair> make_pipe();                // first reads, second writes
[[nodiscard]] Result<FdPair> make_socketpair(int type);  // AF_UNIX; SOCK_SEQPACKET or SOCK_STREAM
[[nodiscard]] Result<UniqueFd> make_memfd(const char* name, bool sealable);
[[nodiscard]] Result<UniqueFd> open_pidfd(int pid);
[[nodiscard]] Result<std::string> read_file(const std::string& path);

// Close-on-exec is per descriptor, so clearing it affects this process only.
Result<void> set_cloexec(int fd, bool on);

}  // namespace bulkhead::base
