#include "base/spawn.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>

namespace bulkhead::base {
namespace {

// The child's stack, with a page below it that faults instead of overwriting a neighbour.
class SpawnStack {
 public:
  static Result<SpawnStack> make() {
    void* address = ::mmap(nullptr, total_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (address == MAP_FAILED) return errno_error(errno, "make a stack for a new process");
    SpawnStack stack(address);
    if (::mprotect(address, guard_bytes, PROT_NONE) != 0) {
      return errno_error(errno, "guard the stack of a new process");
    }
    return stack;
  }
  SpawnStack(SpawnStack&& other) noexcept : address_(std::exchange(other.address_, nullptr)) {}
  SpawnStack& operator=(SpawnStack&&) = delete;
  ~SpawnStack() {
    if (address_ != nullptr) ::munmap(address_, total_bytes);
  }
  std::span<std::byte> bytes() const noexcept {
    return {static_cast<std::byte*>(address_) + guard_bytes, spawn_stack_bytes};
  }

 private:
  static constexpr std::size_t guard_bytes = 4096;
  static constexpr std::size_t total_bytes = guard_bytes + spawn_stack_bytes;
  explicit SpawnStack(void* address) noexcept : address_(address) {}
  void* address_;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> list;
  list.reserve(strings.size() + 1);
  // execve(2) takes char* const[] but does not write to them.
  for (const auto& text : strings) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// All that a script borrows, kept alive for the call.
struct Prepared {
  std::vector<char*> argv, env;
  std::vector<FdMapping> fds;
  std::vector<int> scratch;
  std::vector<CgroupEntry> cgroups;
  UniqueFd null_device;
};

Result<Prepared> prepare(const SpawnPlan& plan) {
  Prepared ready{pointers(plan.argv), pointers(plan.env), plan.fds, {}, plan.cgroups, {}};
  if (plan.argv.empty())
    return make_error(Errc::invalid_argument, "start a program without argv[0]");
  const std::array<int, 3> stdio{plan.input, plan.output, plan.errors};
  for (int target = 0; target < 3; ++target) {
    int source = stdio[static_cast<std::size_t>(target)];
    if (source < 0 && !ready.null_device.is_open()) {
      ready.null_device.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
      if (!ready.null_device.is_open()) return errno_error(errno, "open /dev/null");
    }
    if (source < 0) source = ready.null_device.get();
    ready.fds.push_back({source, target});
  }
  ready.scratch.resize(ready.fds.size());
  return ready;
}

SpawnScript make_script(const SpawnPlan& plan, Prepared& ready, const SpawnStack& stack) {
  SpawnScript script;
  script.executable = plan.executable.c_str();
  script.executable_fd = plan.executable_fd;
  script.argv = ready.argv.data();
  script.env = ready.env.data();
  if (!plan.working_dir.empty()) script.working_dir = plan.working_dir.c_str();
  script.fds = ready.fds;
  script.scratch = ready.scratch;
  script.group = plan.group;
  if (plan.death_signal) {
    script.death_signal = plan.death_signal->signal;
    script.expected_parent = plan.death_signal->parent;
  }
  script.cgroups = ready.cgroups;
  script.limits = plan.limits;
  if (plan.umask) script.umask = &*plan.umask;
  if (plan.nice) script.nice = &*plan.nice;
  script.urgent = plan.urgent;
  if (plan.affinity) script.affinity = &*plan.affinity;
  if (plan.user) {
    script.change_user = true;
    script.uid = plan.user->uid;
    script.gid = plan.user->gid;
    script.groups = plan.user->groups;
  }
  script.no_new_privs = plan.no_new_privs;
  script.blocked_signals = plan.blocked_signals;
  script.sibling = plan.sibling;
  if (plan.begins_pid_namespace) script.pid_namespace = PidNamespace::fresh;
  if (plan.pid_namespace >= 0) script.pid_namespace = PidNamespace::entered;
  script.claim = plan.claim;
  script.claim_argument = plan.claim_argument;
  script.failure_word = plan.failure_sink.word;
  script.failure_generation = plan.failure_sink.generation;
  script.stack = stack.bytes();
  return script;
}

// Our next children begin in another pid namespace; ourselves it does not move (setns(2)).
class NamespaceOfChildren {
 public:
  explicit NamespaceOfChildren(int wanted) {
    if (wanted < 0) return;
    own_.reset(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    if (!own_.is_open() || ::setns(wanted, CLONE_NEWPID) != 0) error_number_ = errno;
  }
  NamespaceOfChildren(const NamespaceOfChildren&) = delete;
  NamespaceOfChildren& operator=(const NamespaceOfChildren&) = delete;
  ~NamespaceOfChildren() {
    if (!own_.is_open() || error_number_ != 0) return;
    const bool is_back = ::setns(own_.get(), CLONE_NEWPID) == 0;
    BULKHEAD_ASSERT(is_back);  // to one's own is always allowed to who could leave it
  }
  int error_number() const noexcept { return error_number_; }

 private:
  UniqueFd own_;
  int error_number_ = 0;
};

// ENOENT from exec means the program or its interpreter; only the file itself can tell which.
std::string missing_interpreter(const std::filesystem::path& program) {
  UniqueFd file{::open(program.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file.is_open()) return {};
  std::array<char, 256> head{};
  const ssize_t n = ::read(file.get(), head.data(), head.size() - 1);
  const std::string_view text(head.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  if (!text.starts_with("#!")) return "its dynamic loader";
  auto line = text.substr(2, text.find('\n') - 2);
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return "its interpreter \"" + std::string(line.substr(0, line.find_first_of(" \t\r"))) + "\"";
}

}  // namespace

std::string describe(const SpawnPlan& plan, const ExecFailure& failure) {
  const std::string name = plan.executable_fd >= 0
                               ? "descriptor " + std::to_string(plan.executable_fd)
                               : plan.executable;
  if (failure.stage == SpawnStage::parent_gone && failure.error_number == ESRCH) {
    return "start " + name + ": its parent has died";
  }
  if (failure.stage == SpawnStage::claim) return "start " + name + ": another start owns its slot";
  std::string text = std::string(to_string(failure.stage)) + " " + name + ": ";
  if (failure.stage == SpawnStage::exec && failure.error_number == ENOENT) {
    const auto program = std::filesystem::path(plan.working_dir) / plan.executable;
    const std::string missing = missing_interpreter(program);
    if (!missing.empty()) return text + missing + " does not exist";
  }
  text += std::strerror(failure.error_number);
  if (!plan.working_dir.empty()) text += " (working dir " + plan.working_dir + ")";
  return text;
}

Result<Spawned> spawn(const SpawnPlan& plan, ExecFailure* failure) {
  auto stack = SpawnStack::make();
  if (!stack) return stack.error();
  auto ready = prepare(plan);
  if (!ready) return ready.error();

  ScriptResult started;
  if (const NamespaceOfChildren children(plan.pid_namespace); children.error_number() != 0) {
    started.failure = {SpawnStage::clone, children.error_number()};
  } else {
    started = run_script(make_script(plan, *ready, *stack));
  }
  Spawned child{started.pid, UniqueFd{started.pidfd}};
  for (const auto& entry : ready->cgroups) child.cgroup_refusals.push_back(entry.refusal);
  if (failure != nullptr) *failure = started.failure;
  if (started.failure.stage == SpawnStage::none) return child;
  if (child.pid > 0 && !plan.sibling) {
    siginfo_t ignored;
    while (::waitid(P_PID, static_cast<id_t>(child.pid), &ignored, WEXITED) != 0 &&
           errno == EINTR) {
    }
  }
  return make_error(Errc::exec_failed, describe(plan, started.failure));
}

}  // namespace bulkhead::base
