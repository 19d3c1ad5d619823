#include "base/landlock.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <span>

#include "base/fd.hpp"

namespace bulkhead::base {
namespace {

// The kernel's struct as it is since version 6; older headers end earlier, older kernels are given less of it.
struct Handled {
  std::uint64_t files = 0, ports = 0, scopes = 0;
};

constexpr std::uint64_t execute = 1 << 0, open_to_write = 1 << 1, open_to_read = 1 << 2,
                        read_dir = 1 << 3, remove_dir = 1 << 4, remove_file = 1 << 5,
                        make_char = 1 << 6, make_dir = 1 << 7, make_reg = 1 << 8,
                        make_sock = 1 << 9, make_fifo = 1 << 10, make_block = 1 << 11,
                        make_sym = 1 << 12, refer = 1 << 13, truncate = 1 << 14,
                        ioctl_dev = 1 << 15;
static_assert(execute == LANDLOCK_ACCESS_FS_EXECUTE && make_sym == LANDLOCK_ACCESS_FS_MAKE_SYM);

constexpr std::uint64_t to_read = open_to_read | read_dir;
constexpr std::uint64_t to_write = to_read | open_to_write | remove_dir | remove_file | make_dir |
                                   make_reg | make_sock | make_fifo | make_sym | refer | truncate;
// What the kernel takes for a path that is no directory.
constexpr std::uint64_t of_a_file = execute | open_to_write | open_to_read | truncate | ioctl_dev;

Handled handled_by(int version) noexcept {
  Handled all;
  all.files = execute | to_write | make_char | make_block;
  if (version < 2) all.files &= ~refer;
  if (version < 3) all.files &= ~truncate;
  if (version >= 4) all.ports = 3;  // bind, connect
  if (version >= 5) all.files |= ioctl_dev;
  if (version >= 6) all.scopes = 3;  // abstract sockets, signals
  return all;
}

std::size_t bytes_for(int version) noexcept {
  if (version >= 6) return sizeof(Handled);
  return version >= 4 ? 2 * sizeof(std::uint64_t) : sizeof(std::uint64_t);
}

Result<void> allow(int ruleset, std::span<const std::string> paths, std::uint64_t access) {
  for (const auto& path : paths) {
    const UniqueFd place{::open(path.c_str(), O_PATH | O_CLOEXEC)};
    if (!place.is_open()) {
      if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) continue;
      return errno_error(errno, "open " + path);
    }
    struct stat status {};
    if (::fstat(place.get(), &status) != 0) return errno_error(errno, "look at " + path);
    landlock_path_beneath_attr rule{};
    rule.allowed_access = S_ISDIR(status.st_mode) ? access : access & of_a_file;
    rule.parent_fd = place.get();
    if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
      return errno_error(errno, "allow " + path);
    }
  }
  return {};
}

}  // namespace

int landlock_version(int* reason) noexcept {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 0 && reason != nullptr) *reason = errno;
  return version > 0 ? static_cast<int>(version) : 0;
}

Result<void> confine_files(const FileAccess& access) {
  int reason = 0;
  const int version = landlock_version(&reason);
  if (version == 0) {
    return make_error(Errc::unsupported,
                      reason == EOPNOTSUPP
                          ? "the kernel has it switched off (boot with lsm=landlock,...)"
                          : "the kernel offers none (Linux 5.13 or later)");
  }
  const Handled handled = handled_by(version);
  const UniqueFd ruleset{
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, bytes_for(version), 0))};
  if (!ruleset.is_open()) return errno_error(errno, "make a ruleset");
  if (auto r = allow(ruleset.get(), access.read, to_read & handled.files); !r) return r;
  if (auto r = allow(ruleset.get(), access.write, to_write & handled.files); !r) return r;
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return errno_error(errno, "restrict this process");
  }
  return {};
}

}  // namespace bulkhead::base
