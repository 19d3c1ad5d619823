#include "base/seccomp.hpp"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace bulkhead::base {

bool seccomp_offered() noexcept {
  const std::uint32_t action = SECCOMP_RET_TRAP;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

Result<void> install_filter(std::span<const sock_filter> filter) {
  if (filter.empty() || filter.size() > BPF_MAXINSNS) {
    return make_error(Errc::invalid_argument, "a filter of " + std::to_string(filter.size()) +
                                                  " instructions (expected 1 to 4096)");
  }
  sock_fprog program{};
  program.len = static_cast<unsigned short>(filter.size());
  program.filter = const_cast<sock_filter*>(filter.data());  // the kernel copies it
  const long thread =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (thread < 0) return errno_error(errno, "install the filter of system calls");
  if (thread > 0) {
    return make_error(Errc::not_permitted, "install the filter of system calls: thread " +
                                               std::to_string(thread) + " has one of its own");
  }
  return {};
}

}  // namespace bulkhead::base
