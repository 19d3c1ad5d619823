#include "supervisor/launch.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/mapped_region.hpp"
#include "supervisor/control_socket.hpp"
#include "supervisor/name_claim.hpp"
#include "supervisor/state_region.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr mode_t owner_only_directory = 0700;
constexpr mode_t owner_only_file = 0600;

// Whoever can enter the directory can put a socket of his own under our name.
Result<void> make_runtime_dir(const std::string& path) {
  std::error_code failed;
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, failed);
  if (failed) return errno_error(failed.value(), "make the directory " + parent.string());
  if (::mkdir(path.c_str(), owner_only_directory) != 0 && errno != EEXIST) {
    return errno_error(errno, "make the runtime directory " + path);
  }
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return errno_error(errno, "look at " + path);
  if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0) {
    return make_error(Errc::not_permitted,
                      "the runtime directory " + path +
                          " must be a directory of your own that nobody else can enter; "
                          "`chmod 700` it, or set BULKHEAD_RUNTIME_DIR to another one");
  }
  return {};
}

std::string lock_file(const SystemArguments& system) {
  return system.runtime_dir + "/" + system.name + ".lock";
}

std::string read_owner(int lock) {
  char digits[16] = {};
  const ssize_t n = ::pread(lock, digits, sizeof digits - 1, 0);
  std::string text(digits, n > 0 ? static_cast<std::size_t>(n) : 0);
  text.resize(std::min(text.find_first_not_of("0123456789"), text.size()));
  return text.empty() ? "unknown" : text;
}

Error running_already(const LaunchRequest& request, int lock) {
  return make_error(Errc::already_exists, "system " + request.name + " is running already (pid " +
                                              read_owner(lock) +
                                              "); stop it with `bulkhead --name " + request.name +
                                              " shutdown`, or give this one another name");
}

// A keeper that ends unlinks the file while it holds the lock, so a lock counts only when the path still
// names the file that was locked.
Result<base::UniqueFd> take_lock(const LaunchRequest& request, const std::string& path) {
  for (;;) {
    base::UniqueFd lock{
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, owner_only_file)};
    if (!lock.is_open()) return errno_error(errno, "open the lock file " + path);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return running_already(request, lock.get());
      if (errno == EINTR) continue;
      return errno_error(errno, "lock " + path);
    }
    struct stat locked {
    }, named{};
    if (::fstat(lock.get(), &locked) != 0) return errno_error(errno, "look at " + path);
    if (::stat(path.c_str(), &named) != 0 || locked.st_ino != named.st_ino ||
        locked.st_dev != named.st_dev) {
      continue;
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), pid.data(), pid.size(), 0) < 0) {
      return errno_error(errno, "write " + path);
    }
    return lock;
  }
}

Result<base::UniqueFd> make_keeper_page(const LaunchRequest& request) {
  if (request.store_entries == 0 || request.store_entries > keeper_layout::store_entries_max ||
      request.exit_entries > keeper_layout::exit_entries_max ||
      !std::has_single_bit(request.exit_entries)) {
    return make_error(Errc::invalid_argument, "the keeper's tables have an impossible size");
  }
  auto fd = base::make_memfd("bulkhead-keeper", true);
  if (!fd) return fd.error();
  const auto bytes = keeper_layout::page_bytes(request.store_entries, request.exit_entries);
  if (::ftruncate(fd->get(), static_cast<off_t>(bytes)) != 0 ||
      ::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return errno_error(errno, "make the keeper's page");
  }
  auto region =
      base::MappedRegion::map(fd->get(), keeper_layout::store_offset, base::Access::read_write);
  if (!region) return region.error();
  auto& header = *reinterpret_cast<keeper_layout::Header*>(region->data());
  header.magic = keeper_layout::magic;
  header.version = keeper_layout::version;
  header.store_entries = request.store_entries;
  header.exit_entries = request.exit_entries;
  return std::move(*fd);
}

// The parts of a spec, in an order that makes a name only when all before it went well.
Result<void> make_parts(const LaunchRequest& request, LaunchSpec& spec) {
  const auto into = [](base::UniqueFd& place, Result<base::UniqueFd> made) -> Result<void> {
    if (!made) return made.error();
    place = std::move(*made);
    return {};
  };
  const std::string lock_path = lock_file(spec.system);
  if (auto r = into(spec.lock, take_lock(request, lock_path)); !r) return r;
  if (auto r = into(spec.keeper_page, make_keeper_page(request)); !r) return r;
  if (auto r = into(spec.state, StateRegion::create()); !r) return r;
  if (auto r = into(spec.config, seal_config(request.config)); !r) return r;
  return into(spec.listener, listen_on(spec.system.control_path));
}

}  // namespace

Result<LaunchSpec> prepare_launch(const LaunchRequest& request) {
  LaunchSpec spec;
  spec.keeper_program = request.program_directory + "/bulkhead-keeper";
  spec.brain_program = request.program_directory + "/bulkhead-brain";
  const std::string base_path = request.runtime_dir + "/" + request.name;
  spec.system = {request.name,
                 request.runtime_dir,
                 request.control_path.empty() ? base_path + ".sock" : request.control_path,
                 request.program_directory,
                 request.log_format,
                 request.detached};
  if (auto made = make_runtime_dir(request.runtime_dir); !made) return made.error();
  if (auto made = make_parts(request, spec); !made) {
    withdraw(spec);
    return made.error();
  }
  return spec;
}

// Under the lock, as every removal of a name.
void withdraw(const LaunchSpec& spec) {
  if (!spec.lock.is_open()) return;
  if (spec.listener.is_open()) (void)::unlink(spec.system.control_path.c_str());
  NameClaim lock;
  lock.take(spec.lock.get());
  lock.remove(lock_file(spec.system).c_str());
}

KeeperArguments keeper_arguments(const LaunchSpec& spec) {
  KeeperArguments arguments;
  arguments.keeper_page = spec.keeper_page.get();
  arguments.state = spec.state.get();
  arguments.lock = spec.lock.get();
  arguments.listener = spec.listener.get();
  arguments.config = spec.config.get();
  arguments.brain_program = spec.brain_program;
  arguments.system = spec.system;
  return arguments;
}

Error exec_keeper(LaunchSpec spec) {
  const auto words = command_line(spec.keeper_program, keeper_arguments(spec));
  std::vector<char*> argv;
  for (const auto& word : words)
    argv.push_back(const_cast<char*>(word.c_str()));  // execv(3) only reads
  argv.push_back(nullptr);
  for (const auto* fd :
       {&spec.keeper_page, &spec.state, &spec.lock, &spec.listener, &spec.config}) {
    if (auto kept = base::set_cloexec(fd->get(), false); !kept) {
      withdraw(spec);
      return kept.error();
    }
  }
  ::execv(spec.keeper_program.c_str(), argv.data());
  const int failure = errno;
  withdraw(spec);
  return make_error(Errc::exec_failed,
                    "exec " + spec.keeper_program + ": " + std::strerror(failure));
}

}  // namespace bulkhead::supervisor
