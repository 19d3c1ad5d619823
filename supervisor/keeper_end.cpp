// The part of Keeper that ends a system: no child, no name left behind.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "base/clock.hpp"
#include "supervisor/keeper.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr std::uint64_t unkillable_after_ns = 2'000'000'000;
constexpr int look_again_ms = 100;

// The kernel's list of our direct children: descendants of the dead among them, since we are their
// subreaper. False on a kernel without CONFIG_PROC_CHILDREN.
template <class Function>
bool for_each_child(Function&& function) noexcept {
  const base::UniqueFd file{::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC)};
  if (!file.is_open()) return false;
  std::array<char, 4096> chunk;
  pid_t pid = 0;
  for (;;) {
    const ssize_t n = ::read(file.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return true;
    for (const char c : std::string_view(chunk.data(), static_cast<std::size_t>(n))) {
      if (c >= '0' && c <= '9') {
        pid = pid * 10 + (c - '0');
      } else if (pid != 0) {
        function(pid);
        pid = 0;
      }
    }
  }
}

char state_of(pid_t pid) noexcept {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", pid);
  const base::UniqueFd file{::open(path.data(), O_RDONLY | O_CLOEXEC)};
  std::array<char, 256> text{};
  if (!file.is_open() || ::read(file.get(), text.data(), text.size() - 1) <= 0) return '?';
  const char* name_end = std::strrchr(text.data(), ')');
  return name_end != nullptr && name_end[1] == ' ' ? name_end[2] : '?';
}

}  // namespace

void Keeper::finish(int exit_code) noexcept {
  if (finished_) return;
  finished_ = true;
  exit_code_ = exit_code;
  kill_children();
}

// An unreaped child keeps its number, so a kill by number hits nobody else. Ends when the kernel says that
// there is no child, or when all that is left ignores SIGKILL in an uninterruptible sleep.
void Keeper::kill_children() noexcept {
  std::uint64_t last_death = base::monotonic_ns();
  for (;;) {
    bool all_stuck = true;
    const auto kill_one = [&](pid_t pid) {
      ::kill(pid, SIGKILL);
      all_stuck = all_stuck && state_of(pid) == 'D';
    };
    if (!for_each_child(kill_one)) {
      if (brain_.is_alive()) kill_one(brain_.pid());
      reaper_.for_each_living_claim(kill_one);
    }
    int rc = 0;
    siginfo_t info{};
    while ((rc = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG)) == 0 && info.si_pid != 0) {
      last_death = base::monotonic_ns();
      info = {};
    }
    if (rc != 0 && errno == ECHILD) return;
    if (all_stuck && base::monotonic_ns() - last_death > unkillable_after_ns) {
      report("leaving processes behind that SIGKILL does not end (state D)");
      return;
    }
    pollfd signals{signals_.get(), POLLIN, 0};
    (void)::poll(&signals, 1, look_again_ms);
    std::array<char, 1024> ignored;
    while (::read(signals_.get(), ignored.data(), ignored.size()) > 0) {
    }
  }
}

// Under the lock, so that a successor that waits for it finds nothing of ours (launch.cpp, take_lock).
void Keeper::remove_names() noexcept {
  socket_name_.remove(arguments_.system.control_path.c_str());
  std::array<char, 4096> path{};
  const int length =
      std::snprintf(path.data(), path.size(), "%s/%s.lock", arguments_.system.runtime_dir.c_str(),
                    arguments_.system.name.c_str());
  if (length > 0 && static_cast<std::size_t>(length) < path.size()) {
    lock_name_.remove(path.data());
  }
}

// One line on stderr, if it takes it at once: a stopped terminal or a full pipe must not stop the keeper.
void Keeper::report(const char* format, ...) noexcept {
  std::array<char, 512> text{};
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text.data(), text.size(), format, arguments);
  va_end(arguments);
  std::array<char, 640> line{};
  const bool json = arguments_.system.log_format == LogFormat::json;
  for (char* c = text.data(); json && *c != '\0'; ++c) {
    if (*c == '"' || *c == '\\' || static_cast<unsigned char>(*c) < ' ') *c = '\'';
  }
  const int length =
      json ? std::snprintf(
                 line.data(), line.size(),
                 "{\"t_ns\":%llu,\"level\":\"warning\",\"from\":\"keeper\",\"text\":\"%s\"}\n",
                 static_cast<unsigned long long>(base::monotonic_ns()), text.data())
           : std::snprintf(line.data(), line.size(), "bulkhead: %s\n", text.data());
  pollfd stream{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&stream, 1, 0) == 1 && (stream.revents & POLLOUT) != 0) {
    (void)!::write(STDERR_FILENO, line.data(), static_cast<std::size_t>(length));
  }
}

}  // namespace bulkhead::supervisor
