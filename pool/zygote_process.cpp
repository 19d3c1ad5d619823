#include "pool/zygote_process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/process_tree.hpp"
#include "base/spawn.hpp"
#include "ipc/wake.hpp"
#include "pool/packet.hpp"
#include "pool/task_registry.hpp"
#include "pool/worker_process.hpp"
#include "pool/zygote_wire.hpp"

namespace bulkhead::pool {
namespace {

using Kind = ZygoteWord::Kind;

void set_text(ZygoteWord& word, const std::string& text) {
  std::snprintf(word.text, sizeof word.text, "%s", text.c_str());
}

// The names of the other threads of this process, "" when there are none: a fork would copy their locks, and not them.
std::string other_threads() {
  std::string names;
  DIR* const tasks = ::opendir("/proc/self/task");
  if (tasks == nullptr) return "/proc is not mounted";
  const std::string ours = std::to_string(::getpid());
  while (const dirent* entry = ::readdir(tasks)) {
    if (entry->d_name[0] == '.' || ours == entry->d_name) continue;
    std::string name;
    std::ifstream comm(std::string("/proc/self/task/") + entry->d_name + "/comm");
    std::getline(comm, name);
    names += (names.empty() ? "" : ", ") + (name.empty() ? "a thread" : name);
  }
  ::closedir(tasks);
  return names;
}

class ZygoteLife {
 public:
  explicit ZygoteLife(const char* name) : name_(name), owner_(::getppid()) {}

  [[noreturn]] void live() {
    ::prctl(PR_SET_NAME, "pool-zygote");
    // What tasks leave behind comes to us, and ends with us.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    ipc::register_membarrier();  // workers inherit it, and are spared the call
    auto owner = base::open_pidfd(owner_);
    if (!owner || ::getppid() != owner_) ::_exit(1);
    owner_fd_ = std::move(*owner);
    sigset_t deaths;
    sigemptyset(&deaths);
    sigaddset(&deaths, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &deaths, nullptr);
    deaths_ = base::UniqueFd(::signalfd(-1, &deaths, SFD_CLOEXEC | SFD_NONBLOCK));
    ::fcntl(first_fd, F_SETFD, FD_CLOEXEC);
    say_hello();
    for (;;) {
      std::array<pollfd, 3> entries{
          {{first_fd, POLLIN, 0}, {owner_fd_.get(), POLLIN, 0}, {deaths_.get(), POLLIN, 0}}};
      ::poll(entries.data(), entries.size(), -1);
      if (entries[1].revents != 0) leave();
      if (entries[2].revents != 0) bury();
      if (entries[0].revents != 0) obey();
    }
  }

 private:
  void say(const ZygoteWord& word, std::span<const int> fds = {}) {
    if (!send_packet(first_fd, bytes_of_value(word), fds)) leave();
  }
  void say_hello() {
    ZygoteWord word;
    word.tasks = registered_tasks();
    note_build_id(word);
    say(word);
  }

  // Whatever is left of us: workers, and what tasks started and left behind.
  [[noreturn]] void leave() {
    for (;;) {
      const auto children = base::children_of(::getpid());
      if (!children || children->empty()) break;
      for (const pid_t child : *children) ::kill(child, SIGKILL);
      if (::waitpid(-1, nullptr, 0) < 0 && errno != EINTR) break;
    }
    ::_exit(0);
  }

  void bury() {
    signalfd_siginfo ignored;
    while (::read(deaths_.get(), &ignored, sizeof ignored) == ssize_t{sizeof ignored}) {
    }
    for (;;) {
      siginfo_t info{};
      if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
      const auto found = births_.find(info.si_pid);
      // What the worker started and did not detach, as long as its number is its own.
      if (found != births_.end()) ::kill(-info.si_pid, SIGKILL);
      siginfo_t reaped{};
      ::waitid(P_PID, static_cast<id_t>(info.si_pid), &reaped, WEXITED);
      if (found == births_.end()) continue;  // an orphan
      ZygoteWord word;
      word.kind = Kind::died;
      word.pid = info.si_pid;
      word.birth = found->second;
      word.code = info.si_code;
      word.status = info.si_status;
      births_.erase(found);
      say(word);
    }
  }

  void obey() {
    std::array<std::byte, sizeof(BirthOrder)> bytes;
    auto packet = receive_packet(first_fd, bytes, false);
    if (!packet) leave();
    if (!*packet) return;
    BirthOrder order;
    std::memcpy(static_cast<void*>(&order), bytes.data(), sizeof order);
    const std::string threads = order.exec != 0 ? "exec_workers" : other_threads();
    if (threads.empty()) {
      fork_worker(order, (*packet)->fds);
    } else {
      exec_worker(order, (*packet)->fds,
                  order.exec != 0 ? threads : "the program has threads before main: " + threads);
    }
  }

  void fork_worker(const BirthOrder& order, std::vector<base::UniqueFd>& fds) {
    const pid_t zygote = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != zygote) ::_exit(1);
      ::setpgid(0, 0);
      sigset_t none;
      sigemptyset(&none);
      ::sigprocmask(SIG_SETMASK, &none, nullptr);
      ::close(first_fd);
      owner_fd_.reset();
      deaths_.reset();
      live_as_worker(std::move(fds), order.memory_max);
    }
    if (child < 0) {
      const int failed = errno;
      return say_unborn(order, errno_error(failed, "fork a worker").to_string());
    }
    ::setpgid(child, child);  // also from here, so that it holds when either goes on
    announce(order, child, base::open_pidfd(child), "");
  }

  void exec_worker(const BirthOrder& order, const std::vector<base::UniqueFd>& fds,
                   const std::string& why) {
    base::SpawnPlan plan;
    plan.executable = "/proc/self/exe";
    plan.argv = {name_, worker_role, std::to_string(order.memory_max)};
    for (char** entry = environ; *entry != nullptr; ++entry) plan.env.emplace_back(*entry);
    plan.errors = 2;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      plan.fds.push_back({fds[i].get(), first_fd + static_cast<int>(i)});
    }
    plan.group = base::ProcessGroup::new_group;
    plan.death_signal = base::DeathSignal{SIGKILL, ::getpid()};
    auto spawned = base::spawn(plan);
    if (!spawned) return say_unborn(order, spawned.error().to_string());
    announce(order, spawned->pid, std::move(spawned->pidfd), why);
  }

  void announce(const BirthOrder& order, pid_t pid, Result<base::UniqueFd> pidfd,
                const std::string& why_exec) {
    births_[pid] = order.birth;
    ZygoteWord word;
    word.kind = Kind::born;
    word.pid = pid;
    word.birth = order.birth;
    set_text(word, why_exec);
    if (pidfd) return say(word, std::array{pidfd->get()});
    ::kill(pid, SIGKILL);  // nobody could ever signal it safely
    say_unborn(order, pidfd.error().to_string());
    births_.erase(pid);
  }
  void say_unborn(const BirthOrder& order, const std::string& why) {
    ZygoteWord word;
    word.kind = Kind::unborn;
    word.birth = order.birth;
    set_text(word, why);
    say(word);
  }

  const char* const name_;
  const pid_t owner_;
  base::UniqueFd owner_fd_, deaths_;
  std::map<pid_t, std::uint64_t> births_;
};

}  // namespace

void live_as_zygote(const char* name) { ZygoteLife(name).live(); }

}  // namespace bulkhead::pool
