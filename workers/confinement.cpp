#include "workers/confinement.hpp"

#include <dirent.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "base/landlock.hpp"
#include "base/mapped_region.hpp"
#include "base/seccomp.hpp"

namespace bulkhead::workers {
namespace {

Result<std::vector<sock_filter>> read_filter(int fd) {
  const auto size = base::file_size(fd);
  if (!size) return size.error();
  if (*size == 0 || *size % sizeof(sock_filter) != 0 ||
      *size / sizeof(sock_filter) > BPF_MAXINSNS) {
    return make_error(Errc::protocol_violation,
                      "the filter of system calls has an impossible size");
  }
  std::vector<sock_filter> filter(*size / sizeof(sock_filter));
  if (::pread(fd, filter.data(), *size, 0) != static_cast<ssize_t>(*size)) {
    return errno_error(errno, "read the filter of system calls");
  }
  return filter;
}

// 0 where /proc does not tell.
std::size_t count_threads() {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir("/proc/self/task"), &::closedir);
  std::size_t count = 0;
  while (listing != nullptr) {
    const dirent* const entry = ::readdir(listing.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] != '.') ++count;
  }
  return count;
}

std::string name_of_landlock() { return "landlock " + std::to_string(base::landlock_version()); }

}  // namespace

// The filter comes last: it refuses what the rest is made with.
Result<ipc::SandboxInstalled> confine(const ipc::SandboxInstall& install,
                                      const base::UniqueFd& filter_fd) {
  const auto filter = read_filter(filter_fd.get());
  if (!filter) return filter.error();
  ipc::SandboxInstalled done;
  // The supervisor has set it before the program began; whoever starts a worker otherwise gets it here.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error(errno, "set no_new_privs");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return errno_error(errno, "refuse ptrace and cores");
  done.in_effect.emplace_back("no_ptrace");
  const std::size_t threads = count_threads();
  const std::string landlock = name_of_landlock();
  if (const auto confined = base::confine_files({install.read, install.write}); !confined) {
    done.refused.push_back("landlock: " + confined.error().context +
                           "; files are protected by their permissions alone");
  } else if (threads > 1) {
    done.refused.push_back("landlock: " + std::to_string(threads - 1) +
                           " threads that were started before Worker::run are not confined; start "
                           "them in the body");
  } else {
    done.in_effect.push_back(landlock);
  }
  if (const auto installed = base::install_filter(*filter); !installed) return installed.error();
  done.in_effect.emplace_back("seccomp");
  return done;
}

}  // namespace bulkhead::workers
