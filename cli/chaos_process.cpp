#include "cli/chaos_process.hpp"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bulkhead::cli {
namespace {

namespace fs = std::filesystem;

std::optional<int> number_in(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Nothing where it has no runtime, or we may not look.
std::optional<int> control_fd_of(const std::string& directory) {
  constexpr std::string_view key = "BULKHEAD_CONTROL_FD=";
  std::ifstream file(directory + "/environ");
  for (std::string entry; std::getline(file, entry, '\0');) {
    if (entry.starts_with(key)) return number_in(std::string_view(entry).substr(key.size()));
  }
  return std::nullopt;
}

// "socket:[123]", whichever number it has.
std::string what_is(const fs::path& fd) {
  std::error_code error;
  return fs::read_symlink(fd, error).string();
}

bool is_connected(int socket) {
  int listens = 0;
  socklen_t length = sizeof listens;
  return ::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens == 0;
}

}  // namespace

PinnedProcess::PinnedProcess(int pid) : pid_(pid) {
  if (auto fd = base::open_pidfd(pid)) fd_ = std::move(*fd);
}

bool PinnedProcess::signal(int number) const noexcept {
  return fd_.is_open() && ::syscall(SYS_pidfd_send_signal, fd_.get(), number, nullptr, 0) == 0;
}

Result<base::UniqueFd> PinnedProcess::duplicate(int fd) const {
  base::UniqueFd copy{static_cast<int>(::syscall(SYS_pidfd_getfd, fd_.get(), fd, 0))};
  if (!copy.is_open()) return errno_error(errno, "pidfd_getfd of process " + std::to_string(pid_));
  return copy;
}

// By shutdown(2), which works on what a descriptor means and not on its number: closing one in another process would
// take ptrace(2), and its number could come to mean another file before that process has noticed. Pipes know no
// shutdown; a link over pipes has a socket all the same, for its doorbell.
Result<void> PinnedProcess::cut_connection(double choice) const {
  const std::string directory = "/proc/" + std::to_string(pid_);
  const auto control = control_fd_of(directory);
  if (!control) return make_error(Errc::not_found, "its control connection cannot be told");
  const std::string spared = what_is(directory + "/fd/" + std::to_string(*control));
  std::vector<int> sockets;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory + "/fd", error)) {
    const auto fd = number_in(entry.path().filename().string());
    const std::string what = what_is(entry.path());
    if (fd && *fd > STDERR_FILENO && what.starts_with("socket:") && what != spared) {
      sockets.push_back(*fd);
    }
  }
  std::sort(sockets.begin(), sockets.end());
  while (!sockets.empty()) {
    const auto at =
        sockets.begin() + static_cast<std::ptrdiff_t>(choice * static_cast<double>(sockets.size()));
    const auto socket = duplicate(*at);
    if (!socket) return socket.error();
    if (is_connected(socket->get()) && ::shutdown(socket->get(), SHUT_RDWR) == 0) return {};
    sockets.erase(at);
  }
  return make_error(Errc::not_found, "it has no connection");
}

// The soft limit alone, which prlimit(2) lets its own user lower from outside; it goes with the process.
Result<std::uint64_t> PinnedProcess::limit_memory(std::uint64_t more_bytes) const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
  std::uint64_t pages = 0;
  if (!signal(0) || !(file >> pages)) return errno_error(ESRCH, "process " + std::to_string(pid_));
  rlimit limit{};
  if (::prlimit(pid_, RLIMIT_AS, nullptr, &limit) != 0) return errno_error(errno, "prlimit");
  const auto wanted = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + more_bytes;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = std::min<rlim_t>({before, limit.rlim_max, wanted});
  if (::prlimit(pid_, RLIMIT_AS, &limit, nullptr) != 0) return errno_error(errno, "prlimit");
  return std::uint64_t{before};
}

void PinnedProcess::give_memory(std::uint64_t limit_bytes) const noexcept {
  rlimit limit{};
  if (!signal(0) || ::prlimit(pid_, RLIMIT_AS, nullptr, &limit) != 0) return;
  limit.rlim_cur = limit_bytes;
  (void)::prlimit(pid_, RLIMIT_AS, &limit, nullptr);
}

}  // namespace bulkhead::cli
