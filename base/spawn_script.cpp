// The child's side of a start, and the clone around it. Compiled without sanitizers (CMakeLists.txt): the
// child shares its parent's memory and thread-local storage but runs on a stack of its own, where their
// bookkeeping would be wrong. For the same reason the child makes raw system calls only: glibc's
// setresuid would signal the parent's threads, and interceptors would record for the wrong process.
#include "base/spawn_script.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bulkhead/error.hpp>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <type_traits>

// Sync points:
//   tag            writer -> reader            visible then    a kill in between leaves
//   spawn.failure  vfork child -> next brain   the word alone  an exit 127 without a reason
// glibc's clone() by its other name. The first is the thread sanitizer's in such a build: it takes the child for that of a fork
// and marks the calling thread, whose memory the child shares, as one to look away from, for the rest of its life.
extern "C" int __clone(int (*)(void*), void*, int, void*, ...);

namespace bulkhead::base {
namespace {

// The kernel's own struct: glibc's has another layout.
struct KernelSigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  std::uint64_t mask;
};
constexpr std::size_t signal_set_bytes = 8;
constexpr int signal_last = 64;
constexpr int exit_code_not_started = 127;

template <class T>
long word(T value) noexcept {
  if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);
  } else {
    return static_cast<long>(value);
  }
}

// Every argument as a whole register: the upper half of an int passed through `...` is undefined.
template <class... Arguments>
long sys(long number, Arguments... arguments) noexcept {
  return ::syscall(number, word(arguments)...);
}

// Lives in the parent's frame; the child writes it, and the parent reads it after the vfork ended.
struct ChildRun {
  const SpawnScript* script;
  ExecFailure failure;
};

struct Numbers {
  pid_t own = 0, parent = 0;
};

// As our parent's pid namespace counts: in another one the child has other numbers, and no parent. /proc shows those
// of the namespace that it was mounted in, whoever looks (pid_namespaces(7)). The name, in parentheses, may hold
// anything, so what follows it begins after the last one (proc(5)).
bool read_numbers(const SpawnScript& script, Numbers& numbers) noexcept {
  if (script.pid_namespace == PidNamespace::ours) {
    numbers = {static_cast<pid_t>(sys(SYS_getpid)), static_cast<pid_t>(sys(SYS_getppid))};
    return true;
  }
  const int file =
      static_cast<int>(sys(SYS_openat, AT_FDCWD, "/proc/self/stat", O_RDONLY | O_CLOEXEC));
  if (file < 0) return false;
  char text[512];
  const long bytes = sys(SYS_read, file, text, sizeof text);
  (void)sys(SYS_close, file);
  if (bytes <= 0) return false;
  const char* const end = text + bytes;
  const auto take = [end](const char*& from) {
    pid_t number = 0;
    for (; from < end && *from >= '0' && *from <= '9'; ++from) number = number * 10 + (*from - '0');
    return number;
  };
  const char* at = text;
  numbers.own = take(at);
  for (const char* c = at; c < end; ++c) {
    if (*c == ')') at = c;
  }
  at = std::min(at + std::size(") S ") - 1, end);
  numbers.parent = take(at);
  errno = ESRCH;  // for a text that says neither
  return numbers.own != 0;
}

// A handler must not run in the child: it would act on the parent's memory. Exec resets handlers by
// itself, but not SIG_IGN, which nohup and careless parents leave behind.
void reset_signals() noexcept {
  KernelSigaction action{};
  for (int signal = 1; signal <= signal_last; ++signal) {
    (void)sys(SYS_rt_sigaction, signal, &action, nullptr, signal_set_bytes);  // KILL, STOP: EINVAL
  }
}

// Moves every source out of the way of the targets first, so that the order does not matter.
bool place_descriptors(const SpawnScript& script) noexcept {
  // Ours are close-on-exec from birth; this is for what we inherited. Before Linux 5.11: EINVAL.
  (void)sys(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  int floor = 0;
  for (const auto& map : script.fds) {
    if (map.source != map.target) floor = std::max(floor, map.target + 1);
  }
  for (std::size_t i = 0; i < script.fds.size(); ++i) {
    const auto& map = script.fds[i];
    if (map.source == map.target) continue;
    script.scratch[i] = static_cast<int>(sys(SYS_fcntl, map.source, F_DUPFD_CLOEXEC, floor));
    if (script.scratch[i] < 0) return false;
  }
  for (std::size_t i = 0; i < script.fds.size(); ++i) {
    const auto& map = script.fds[i];
    const long placed = map.source == map.target ? sys(SYS_fcntl, map.target, F_SETFD, 0)
                                                 : sys(SYS_dup3, script.scratch[i], map.target, 0);
    if (placed < 0) return false;
  }
  return true;
}

bool join_group(ProcessGroup group) noexcept {
  switch (group) {
    case ProcessGroup::inherit: return true;
    case ProcessGroup::new_group: return sys(SYS_setpgid, 0, 0) == 0;
    case ProcessGroup::new_session: return sys(SYS_setsid) >= 0;
  }
  return false;
}

bool set_limit(const ResourceLimit& limit) noexcept {
  const rlimit value{limit.soft, limit.hard};
  return sys(SYS_prlimit64, 0, limit.resource, &value, nullptr) == 0;
}

// "0" is whoever writes it. What our parent and we touch until exec is charged to our parent's cgroup, since
// the memory is our parent's; the program's is a new one.
bool enter_cgroups(const SpawnScript& script) noexcept {
  for (auto& entry : script.cgroups) {
    if (sys(SYS_write, entry.procs, "0", 1) == 1) continue;
    entry.refusal = errno;
    if (!set_limit(entry.instead)) return false;
  }
  return true;
}

bool apply_limits(const SpawnScript& script) noexcept {
  for (const auto& limit : script.limits) {
    if (!set_limit(limit)) return false;
  }
  if (script.umask != nullptr) (void)sys(SYS_umask, *script.umask);
  if (script.nice != nullptr && sys(SYS_setpriority, PRIO_PROCESS, 0, *script.nice) != 0) {
    return false;
  }
  if (script.urgent) {  // where that is not permitted, it waits for its turn
    const sched_param lowest{1};
    (void)sys(SYS_sched_setscheduler, 0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest);
  }
  return script.affinity == nullptr ||
         sys(SYS_sched_setaffinity, 0, sizeof(cpu_set_t), script.affinity) == 0;
}

bool change_user(const SpawnScript& script) noexcept {
  if (script.change_user) {
    if (sys(SYS_setgroups, script.groups.size(), script.groups.data()) != 0) return false;
    if (sys(SYS_setresgid, script.gid, script.gid, script.gid) != 0) return false;
    if (sys(SYS_setresuid, script.uid, script.uid, script.uid) != 0) return false;
  }
  return !script.no_new_privs || sys(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

// A change of credentials clears the death signal, so this comes after it; and a parent that died
// before it was armed sends none (PR_SET_PDEATHSIG(2const)).
bool bind_to_parent(const SpawnScript& script) noexcept {
  if (script.death_signal == 0) return true;
  if (sys(SYS_prctl, PR_SET_PDEATHSIG, script.death_signal, 0, 0, 0) != 0) return false;
  Numbers numbers;
  if (!read_numbers(script, numbers)) return false;
  if (numbers.parent == script.expected_parent) return true;
  errno = ESRCH;
  return false;
}

void execute(const SpawnScript& script) noexcept {
  (void)sys(SYS_rt_sigprocmask, SIG_SETMASK, &script.blocked_signals, nullptr, signal_set_bytes);
  if (script.executable_fd >= 0) {
    (void)sys(SYS_execveat, script.executable_fd, "", script.argv, script.env, AT_EMPTY_PATH);
  } else {
    (void)sys(SYS_execve, script.executable, script.argv, script.env);
  }
}

// Returns only when it failed, with the reason in errno (which is the parent's, too).
SpawnStage become(const SpawnScript& script) noexcept {
  errno = 0;
  Numbers numbers;
  if (!read_numbers(script, numbers)) return SpawnStage::session;
  if (script.claim != nullptr && !script.claim(script.claim_argument, numbers.own)) {
    if (errno == 0) errno = EALREADY;
    return SpawnStage::claim;
  }
  reset_signals();
  if (!join_group(script.group)) return SpawnStage::session;
  if (!enter_cgroups(script)) return SpawnStage::limits;  // while the descriptors are open
  if (!place_descriptors(script)) return SpawnStage::descriptors;
  if (!apply_limits(script)) return SpawnStage::limits;
  if (!change_user(script)) return SpawnStage::credentials;
  if (script.working_dir != nullptr && sys(SYS_chdir, script.working_dir) != 0) {
    return SpawnStage::working_dir;
  }
  if (!bind_to_parent(script)) return SpawnStage::parent_gone;
  execute(script);
  return SpawnStage::exec;
}

int child_main(void* argument) noexcept {
  auto& run = *static_cast<ChildRun*>(argument);
  const SpawnStage stage = become(*run.script);
  run.failure = {stage, errno};
  // The loser of a claim has no right to the slot's failure word.
  if (run.script->failure_word != nullptr && stage != SpawnStage::claim) {
    // sync spawn.failure: release; pairs with acquire in StateRegion::exec_failure; the word alone
    run.script->failure_word->store(pack_failure(run.script->failure_generation, run.failure),
                                    std::memory_order_release);
  }
  (void)sys(SYS_exit_group, exit_code_not_started);
  return 0;
}

}  // namespace

const char* to_string(SpawnStage stage) noexcept {
  switch (stage) {
    case SpawnStage::none: return "start";
    case SpawnStage::clone: return "make a process for";
    case SpawnStage::claim: return "claim the slot for";
    case SpawnStage::session: return "make a session or process group for";
    case SpawnStage::descriptors: return "place the descriptors of";
    case SpawnStage::limits: return "set limits, nice or affinity of";
    case SpawnStage::credentials: return "change user or privileges of";
    case SpawnStage::working_dir: return "change to the working directory of";
    case SpawnStage::parent_gone: return "bind to its parent";
    case SpawnStage::exec: return "exec";
  }
  return "start";
}

ScriptResult run_script(const SpawnScript& script) noexcept {
  BULKHEAD_ASSERT(script.stack.size() >= spawn_stack_bytes);
  BULKHEAD_ASSERT(script.scratch.size() >= script.fds.size());
  const int saved_errno = errno;
  const std::uint64_t all = ~std::uint64_t{0};
  std::uint64_t before = 0;
  (void)sys(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, signal_set_bytes);

  ChildRun run{&script, {}};
  ScriptResult result;
  const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | (script.sibling ? CLONE_PARENT : 0) |
                    (script.pid_namespace == PidNamespace::fresh ? CLONE_NEWPID : 0) | SIGCHLD;
  std::byte* top = script.stack.data() + script.stack.size();  // stacks grow down
  result.pid = ::__clone(child_main, top, flags, &run, &result.pidfd);
  result.failure = result.pid < 0 ? ExecFailure{SpawnStage::clone, errno} : run.failure;

  (void)sys(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, signal_set_bytes);
  errno = saved_errno;
  return result;
}

}  // namespace bulkhead::base
