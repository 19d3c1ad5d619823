// `bulkhead doctor`: what this kernel and these limits offer, and what falls back to what. Each line is
// found out by trying, not by the kernel's version: containers and seccomp take features away.
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/cgroup.hpp"
#include "base/fd.hpp"
#include "base/landlock.hpp"
#include "base/pid_namespace.hpp"
#include "base/seccomp.hpp"
#include "base/urgency.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"

// Linux 6.5; Debian 12 has older headers.
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

namespace bulkhead::cli {
namespace {

struct Finding {
  enum class Verdict { good, reduced, missing } verdict;
  std::string subject;
  std::string what;  // what was found, and what follows from it
};
using Verdict = Finding::Verdict;

// Whether the kernel knows a system call: one with wrong arguments fails, but not with ENOSYS.
// A seccomp filter answers EPERM, which is as good as absent.
bool known(long result) { return result >= 0 || (errno != ENOSYS && errno != EPERM); }

Finding kernel() {
  utsname names{};
  ::uname(&names);
  return {Verdict::good, "kernel",
          std::string(names.sysname) + " " + names.release + " on " + names.machine};
}

Finding pidfd() {
  auto fd = base::open_pidfd(::getpid());
  if (fd) return {Verdict::good, "pidfd", "deaths are known from the kernel"};
  return {Verdict::missing, "pidfd",
          fd.error().to_string() + "; Bulkhead cannot run here (Linux 5.4 or later)"};
}

Finding futex_waitv() {
#ifdef SYS_futex_waitv
  if (known(::syscall(SYS_futex_waitv, nullptr, 0, 0, nullptr, 0))) {
    return {Verdict::good, "futex_waitv", "a sleeper watches its link and its supervisor at once"};
  }
#endif
  return {Verdict::reduced, "futex_waitv",
          "not offered (Linux 5.16 or later): sleeps are cut into slices"};
}

Finding membarrier() {
  const long commands = ::syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  if (commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0) {
    return {Verdict::good, "membarrier", "a sender pays no fence, the side that sleeps does"};
  }
  return {Verdict::reduced, "membarrier",
          "no GLOBAL_EXPEDITED: both sides of a lane use a fence on every message"};
}

Finding sealing() {
  auto fd = base::make_memfd("bulkhead-doctor", true);
  if (!fd) {
    return {Verdict::missing, "memfd seals",
            fd.error().to_string() + "; links over shm cannot be made"};
  }
  const bool sized = ::ftruncate(fd->get(), 4096) == 0;
  const bool sealed = ::fcntl(fd->get(), F_ADD_SEALS,
                              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0;
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0);
  const bool refused = page == MAP_FAILED;
  if (!refused) ::munmap(page, 4096);
  if (sized && sealed && refused) {
    return {Verdict::good, "memfd seals", "a peer cannot write what it only may read"};
  }
  return {Verdict::missing, "memfd seals",
          "no F_SEAL_FUTURE_WRITE (Linux 5.1 or later); links over shm cannot be made"};
}

Finding close_range() {
  // An empty range beyond every descriptor: closes nothing.
  if (known(::syscall(SYS_close_range, UINT_MAX, UINT_MAX, CLOSE_RANGE_CLOEXEC))) {
    return {Verdict::good, "close_range", "a worker inherits the descriptors named for it only"};
  }
  return {
      Verdict::reduced, "close_range",
      "not offered (Linux 5.11 or later): descriptors are closed one by one, starts are slower"};
}

Finding seccomp() {
  if (base::seccomp_offered()) {
    return {Verdict::good, "seccomp", "a strict sandbox refuses system calls and names them"};
  }
  return {Verdict::reduced, "seccomp",
          "no filters of system calls (Linux 4.14 or later, and allowed by the container): "
          "\"sandbox\": \"strict\" is refused, \"basic\" works"};
}

// What each version adds: landlock(7).
Finding landlock() {
  int reason = 0;
  const int version = base::landlock_version(&reason);
  std::string text = "version " + std::to_string(version) + ": a strict sandbox confines files";
  if (version >= 4) text += ", tcp ports";
  if (version >= 6) text += ", signals and abstract sockets";
  if (version > 0) return {Verdict::good, "landlock", text};
  return {Verdict::reduced, "landlock",
          std::string(std::strerror(reason)) +
              ": files of strict workers are protected by their permissions alone (Linux 5.13 or "
              "later, booted with lsm=landlock,...)"};
}

// A cgroup made and removed again; what that fails with.
Result<void> try_cgroup(const std::string& own) {
  const std::string trial = own + "/bulkhead-doctor-" + std::to_string(::getpid());
  if (::mkdir(trial.c_str(), 0755) != 0) return errno_error(errno, "make the cgroup " + trial);
  return base::remove_cgroup(trial);
}

// Whether version 2 can give us a controller shows when the supervisor asks, since that may move it.
Result<std::string> version_2(const std::string& own, const std::string& controller) {
  const auto offered = base::read_file(own + "/cgroup.controllers");
  if (!offered) return offered.error();
  if (!base::has_word(*offered, controller)) {
    return make_error(Errc::unsupported,
                      "our cgroup (v2) " + own + " is not given the controller " + controller);
  }
  const auto handed_down = base::read_file(own + "/cgroup.subtree_control");
  const bool is_ready = handed_down && base::has_word(*handed_down, controller);
  const bool is_root = ::access((own + "/cgroup.type").c_str(), F_OK) != 0;
  if (is_ready || is_root) return std::string();
  if (::access((own + "/cgroup.subtree_control").c_str(), W_OK) != 0) {
    return errno_error(errno, "hand down the controller " + controller + " in " + own);
  }
  return std::string(", if the supervisor has its cgroup for itself (Delegate=yes)");
}

// By which means a limit of workers is held.
Finding cgroup_limit(const char* controller, const char* key, const char* otherwise) {
  const std::string subject = std::string("cgroups: ") + controller;
  const auto own = base::own_cgroup(controller);
  Result<std::string> condition = std::string();
  if (own && own->version == base::CgroupVersion::v2) {
    condition = version_2(own->directory, controller);
  }
  const auto tried = !own         ? Result<void>(own.error())
                     : !condition ? Result<void>(condition.error())
                                  : try_cgroup(own->directory);
  if (!tried) {
    return {Verdict::reduced, subject,
            std::string(key) + " is set as " + otherwise +
                ", not by a cgroup: " + base::refusal_in_words(tried.error())};
  }
  return {Verdict::good, subject,
          std::string(key) + " is held by a " + std::string(base::to_string(own->version)) +
              " for each instance, in " + own->directory + *condition};
}

Finding memory_limit() { return cgroup_limit("memory", "limits.memory", "RLIMIT_AS"); }
Finding pids_limit() { return cgroup_limit("pids", "limits.pids", "RLIMIT_NPROC"); }

Finding urgency() {
  if (base::may_become_urgent()) {
    return {Verdict::good, "priority", "the supervisor runs before busy workers (SCHED_RR)"};
  }
  return {Verdict::reduced, "priority",
          "no real-time priority for the supervisor: where workers keep all processors busy, "
          "recovery waits its "
          "turn (CAP_SYS_NICE, or `ulimit -r 1`)"};
}

Finding descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const std::string figures =
      std::to_string(limit.rlim_cur) + ", at most " + std::to_string(limit.rlim_max);
  if (limit.rlim_max >= 4096) return {Verdict::good, "descriptors", figures};
  return {Verdict::reduced, "descriptors",
          figures + ": enough for about " + std::to_string(limit.rlim_max / 8) +
              " workers; raise it with `ulimit -Hn` as root"};
}

Finding processes() {
  auto text = base::read_file("/proc/sys/kernel/pid_max");
  rlimit limit{};
  ::getrlimit(RLIMIT_NPROC, &limit);
  std::string figures = "pid_max " + (text ? text->substr(0, text->find('\n')) : "unknown");
  if (limit.rlim_cur != RLIM_INFINITY) {
    figures += ", this user may have " + std::to_string(limit.rlim_cur);
  }
  return {Verdict::good, "processes", figures};
}

Finding ptrace_scope() {
  auto text = base::read_file("/proc/sys/kernel/yama/ptrace_scope");
  if (!text) return {Verdict::good, "yama", "absent: a debugger may attach to any of your workers"};
  const std::string scope = text->substr(0, 1);
  if (scope == "0")
    return {Verdict::good, "yama", "0: a debugger may attach to any of your workers"};
  return {
      Verdict::reduced, "yama",
      scope + ": a debugger attaches to a worker only as root (sysctl kernel.yama.ptrace_scope)"};
}

Finding notifications() {
  const base::UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on) == 0) {
    return {Verdict::good, "sd_notify", "the kernel names who speaks by a pidfd"};
  }
  return {
      Verdict::reduced, "sd_notify",
      "no SO_PASSPIDFD (Linux 6.5 or later): who speaks is known by its pid alone, which may be "
      "another's once it has exited"};
}

Finding stored_files() {
  const long self = ::getpid();
  if (::syscall(SYS_kcmp, self, self, static_cast<long>(KCMP_FILE), 1L, 1L) == 0) {
    return {Verdict::good, "kcmp", "a descriptor that a program stores twice is kept once"};
  }
  return {
      Verdict::reduced, "kcmp",
      "not offered: a descriptor that is stored twice, or whose message a brain is killed over, "
      "comes back twice"};
}

Finding pid_namespaces() {
  if (const auto tried = base::try_pid_namespace(); !tried) {
    return {Verdict::reduced, "pid namespaces",
            tried.error().to_string() + R"(; "contain": "pidns" is refused)"};
  }
  return {Verdict::good, "pid namespaces", R"(nothing outlives a worker with "contain": "pidns")"};
}

Finding containment() {
  return {
      Verdict::reduced, "containment",
      "after a SIGKILL of the keeper, descendants that a plain program has detached live on, but "
      "for those of a worker "
      R"(with "contain": "pidns"; those in a cgroup (limits.memory or limits.pids) until the system is started again)"};
}

}  // namespace

Outcome doctor() {
  const std::vector<Finding> findings{
      kernel(),       pidfd(),          futex_waitv(), membarrier(),   sealing(),
      close_range(),  seccomp(),        landlock(),    memory_limit(), pids_limit(),
      urgency(),      descriptors(),    processes(),   ptrace_scope(), notifications(),
      stored_files(), pid_namespaces(), containment()};
  Table table({{"", Table::Align::left}, {"what"}, {"found"}});
  bool can_run = true;
  for (const auto& finding : findings) {
    switch (finding.verdict) {
      case Verdict::good:
        table.add({{"ok", Colour::green}, {finding.subject}, {finding.what}});
        break;
      case Verdict::reduced:
        table.add({{"less", Colour::yellow}, {finding.subject}, {finding.what}});
        break;
      case Verdict::missing:
        can_run = false;
        table.add({{"no", Colour::red}, {finding.subject}, {finding.what}});
        break;
    }
  }
  std::fputs(table.render(colours_wanted(STDOUT_FILENO)).c_str(), stdout);
  return can_run ? Outcome::done : Outcome::failed;
}

}  // namespace bulkhead::cli
