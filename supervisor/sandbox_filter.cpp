#include "supervisor/sandbox_filter.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_region.hpp"
#include "supervisor/sandbox_calls.hpp"

namespace bulkhead::supervisor {
namespace {

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

using Instructions = std::vector<sock_filter>;
using Comparison = scmp_arg_cmp;
using Comparisons = std::initializer_list<Comparison>;

// The kernel looks at the lower half of an int, whatever a caller leaves in the upper.
constexpr std::uint64_t of_an_int = 0xffff'ffff;

// Stands for the worker's pid: one that no process has (PID_MAX_LIMIT is 2^22), and no call's argument either.
constexpr std::uint32_t any_pid = 0x7fed'cba9;

Comparison masked(unsigned argument, std::uint64_t mask, std::uint64_t value) noexcept {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}
Comparison is_int(unsigned argument, std::uint64_t value) noexcept {
  return masked(argument, of_an_int, value & of_an_int);
}

class FilterDraft {
 public:
  static Result<FilterDraft> begin() {
    FilterDraft draft;
    draft.context_.reset(::seccomp_init(SCMP_ACT_TRAP));
    if (!draft.context_) return make_error(Errc::unsupported, "make a filter of system calls");
    draft.note(
        ::seccomp_attr_set(draft.context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
        "the other architectures");
    // A tree by number, instead of a list of which each call would go through half: 9 steps for 300.
    draft.note(::seccomp_attr_set(draft.context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "as a tree");
    return draft;
  }

  void add(std::uint32_t action, std::string_view name, Comparisons comparisons = {}) {
    const std::string text(name);
    const int number = ::seccomp_syscall_resolve_name(text.c_str());
    if (number < 0)
      return;  // not of this machine, or too new for the library: refused like any other
    note(::seccomp_rule_add_array(context_.get(), action, number,
                                  static_cast<unsigned>(comparisons.size()), comparisons.begin()),
         name);
  }
  void allow(std::string_view name, Comparisons comparisons = {}) {
    add(SCMP_ACT_ALLOW, name, comparisons);
  }

  Result<Instructions> finish() {
    auto fd = base::make_memfd("sandbox-filter", false);
    if (!fd) return fd.error();
    note(::seccomp_export_bpf(context_.get(), fd->get()), "the whole");
    if (failure_) return *failure_;
    const auto bytes = base::file_size(fd->get());
    if (!bytes) return bytes.error();
    Instructions all(*bytes / sizeof(sock_filter));
    if (::pread(fd->get(), all.data(), *bytes, 0) != static_cast<ssize_t>(*bytes)) {
      return errno_error(errno, "read the filter of system calls");
    }
    return all;
  }

 private:
  FilterDraft() = default;
  void note(int outcome, std::string_view what) {
    if (outcome >= 0 || failure_) return;
    failure_ = errno_error(-outcome, "make a filter of system calls: " + std::string(what));
  }

  struct Release {
    void operator()(void* context) const noexcept { ::seccomp_release(context); }
  };
  std::unique_ptr<void, Release> context_;
  std::optional<Error> failure_;  // the first
};

// Threads, and nothing else that clone makes: no process, no namespace, nothing traced.
void allow_threads(FilterDraft& draft) {
  constexpr std::uint64_t looked_at = CLONE_THREAD | CLONE_VFORK | CLONE_PTRACE | CLONE_NEWNS |
                                      CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  draft.allow("clone", {masked(0, looked_at, CLONE_THREAD)});
}

// Code comes out of files, as libraries do, and is not written while it is code.
void allow_memory(FilterDraft& draft) {
  draft.allow("mmap", {masked(2, PROT_EXEC, 0)});
  draft.allow("mmap", {masked(2, PROT_EXEC | PROT_WRITE, PROT_EXEC), masked(3, MAP_ANONYMOUS, 0)});
  draft.allow("mprotect", {masked(2, PROT_EXEC, 0)});
}

void allow_one_of(FilterDraft& draft, std::string_view call, unsigned argument,
                  std::initializer_list<std::uint64_t> values) {
  for (const std::uint64_t value : values) draft.allow(call, {is_int(argument, value)});
}

// Not: who gets SIGIO, leases, notification of directories. TIOCSTI and its like act on a terminal for its owner.
void allow_descriptor_settings(FilterDraft& draft) {
  allow_one_of(draft, "fcntl", 1,
               {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK,
                F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_GETPIPE_SZ, F_SETPIPE_SZ,
                F_ADD_SEALS, F_GET_SEALS});
  allow_one_of(draft, "ioctl", 1, {TCGETS, TIOCGWINSZ, FIONBIO, FIONREAD, FIOCLEX, FIONCLEX});
}

// A pair reaches nobody that it is not handed to. A datagram socket could be pointed at any path by sendto, and so
// could a new socket by connect. The C library looks for its name and log services by unix sockets, and does without.
void allow_pairs(FilterDraft& draft) {
  constexpr std::uint64_t of_type = 0xf;
  for (const std::uint64_t type : {SOCK_STREAM, SOCK_SEQPACKET}) {
    draft.allow("socketpair", {is_int(0, AF_UNIX), masked(1, of_type, type)});
  }
  draft.add(SCMP_ACT_ERRNO(EACCES), "socket", {is_int(0, AF_UNIX)});
  // MSG_FASTOPEN is a connect that Landlock does not see on every kernel.
  draft.allow("sendto", {masked(3, MSG_FASTOPEN, 0)});
  draft.allow("sendmsg", {masked(2, MSG_FASTOPEN, 0)});
  draft.allow("sendmmsg", {masked(3, MSG_FASTOPEN, 0)});
}

void allow_what_concerns_itself(FilterDraft& draft) {
  constexpr std::uint64_t own = any_pid;
  for (const char* call :
       {"kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "process_vm_readv"}) {
    draft.allow(call, {is_int(0, own)});
  }
  allow_one_of(draft, "prctl", 0,
               {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS,
                PR_GET_SECCOMP, PR_GET_PDEATHSIG});
  for (const std::uint64_t who : {std::uint64_t{0}, own}) {
    draft.allow("prlimit64", {is_int(0, who), {2, SCMP_CMP_EQ, 0, 0}});
  }
  draft.add(SCMP_ACT_ERRNO(EPERM), "prlimit64", {{2, SCMP_CMP_NE, 0, 0}});
  draft.allow("sched_setaffinity", {{0, SCMP_CMP_EQ, 0, 0}});
  draft.add(SCMP_ACT_ERRNO(EPERM), "sched_setaffinity", {{0, SCMP_CMP_NE, 0, 0}});
}

Result<Instructions> make_instructions() {
  auto draft = FilterDraft::begin();
  if (!draft) return draft.error();
  for (const CallGroup& group : permitted_calls()) {
    for (const auto& call : group.calls) draft->allow(call);
  }
  for (const AnsweredCall& call : answered_calls()) {
    draft->add(SCMP_ACT_ERRNO(static_cast<std::uint32_t>(call.error_number)), call.name);
  }
  allow_threads(*draft);
  allow_memory(*draft);
  allow_descriptor_settings(*draft);
  allow_pairs(*draft);
  allow_what_concerns_itself(*draft);
  return draft->finish();
}

bool is_comparison(const sock_filter& instruction) noexcept {
  return instruction.code == (BPF_JMP | BPF_JEQ | BPF_K) && instruction.k == any_pid;
}

}  // namespace

// libseccomp takes 4 ms, which each recovery would pay: so it is done once, and each worker gets its pid put in.
Result<base::UniqueFd> make_sandbox_filter(pid_t pid) {
  static const Result<Instructions> made = make_instructions();
  if (!made) return made.error();
  Instructions own = *made;
  for (auto& instruction : own) {
    if (is_comparison(instruction)) instruction.k = static_cast<std::uint32_t>(pid);
  }
  auto fd = base::make_memfd("sandbox-filter", true);
  if (!fd) return fd;
  const std::size_t bytes = own.size() * sizeof(sock_filter);
  constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  if (::pwrite(fd->get(), own.data(), bytes, 0) != static_cast<ssize_t>(bytes) ||
      ::fcntl(fd->get(), F_ADD_SEALS, seals) != 0) {
    return errno_error(errno, "store the filter of system calls");
  }
  return fd;
}

}  // namespace bulkhead::supervisor
