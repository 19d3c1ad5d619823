#include "supervisor/web_rights.hpp"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "base/fd.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr rlim_t descriptors_max = 256;

// No rule allows anything: whatever is handled is refused. How many kinds of access there are depends on the version
// (landlock(7)): 13 in the first, one more with each of the next two.
Result<void> close_the_files() {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return errno_error(errno, "Landlock: it can open our files");
  landlock_ruleset_attr handled{};
  handled.handled_access_fs = (std::uint64_t{1} << (version >= 3 ? 15 : version + 12)) - 1;
  const base::UniqueFd rules{
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0))};
  if (!rules.is_open() || ::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) {
    return errno_error(errno, "Landlock: it can open our files");
  }
  return {};
}

Result<void> drop_capabilities() {
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    (void)::prctl(PR_CAPBSET_DROP, capability);  // EPERM: we have none to give away
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (::syscall(SYS_capset, &header, none.data()) == 0) return {};
  return errno_error(errno, "capset: it keeps its capabilities");
}

// 0, or the first error of libseccomp, which are negative errno.
int add_rules(scmp_filter_ctx filter) {
  int failed = 0;
  const auto add = [&](int added) { failed = failed != 0 ? failed : added; };
  const std::uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
  for (const int call : {SCMP_SYS(execve),
                         SCMP_SYS(execveat),
                         SCMP_SYS(fork),
                         SCMP_SYS(vfork),
                         SCMP_SYS(ptrace),
                         SCMP_SYS(process_vm_readv),
                         SCMP_SYS(process_vm_writev),
                         SCMP_SYS(process_madvise),
                         SCMP_SYS(kill),
                         SCMP_SYS(tkill),
                         SCMP_SYS(rt_sigqueueinfo),
                         SCMP_SYS(rt_tgsigqueueinfo),
                         SCMP_SYS(pidfd_open),
                         SCMP_SYS(pidfd_getfd),
                         SCMP_SYS(pidfd_send_signal),
                         SCMP_SYS(kcmp),
                         SCMP_SYS(unshare),
                         SCMP_SYS(setns),
                         SCMP_SYS(mount),
                         SCMP_SYS(umount2),
                         SCMP_SYS(chroot),
                         SCMP_SYS(pivot_root),
                         SCMP_SYS(open_by_handle_at),
                         SCMP_SYS(bpf),
                         SCMP_SYS(perf_event_open),
                         SCMP_SYS(userfaultfd),
                         SCMP_SYS(io_uring_setup),
                         SCMP_SYS(keyctl),
                         SCMP_SYS(add_key),
                         SCMP_SYS(request_key)}) {
    add(seccomp_rule_add(filter, refuse, call, 0));
  }
  // Of clone3 the flags lie in memory, where no filter sees them; told that it is not there, the C library takes clone.
  add(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0));
  const auto add_where = [&](int call, scmp_compare how, std::uint64_t what,
                             std::uint64_t masked = 0) {
    const scmp_arg_cmp first{0, how, what, masked};
    add(seccomp_rule_add_array(filter, refuse, call, 1, &first));
  };
  add_where(SCMP_SYS(clone), SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
  add_where(SCMP_SYS(prlimit64), SCMP_CMP_NE, 0);
  add_where(SCMP_SYS(socket), SCMP_CMP_NE, AF_UNIX);
  add_where(SCMP_SYS(tgkill), SCMP_CMP_NE,
            static_cast<std::uint64_t>(::getpid()));  // itself it may abort
  return failed;
}

Result<void> filter_system_calls() {
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                                &seccomp_release);
  constexpr const char* what = "seccomp: it can start programs and signal processes";
  if (filter == nullptr) return errno_error(ENOMEM, what);
  int failed = add_rules(filter.get());
  if (failed == 0) failed = seccomp_load(filter.get());
  if (failed != 0) return errno_error(-failed, what);
  return {};
}

Result<void> limit_resources() {
  const rlimit descriptors{descriptors_max, descriptors_max}, none{0, 0};
  if (::setrlimit(RLIMIT_NOFILE, &descriptors) == 0 && ::setrlimit(RLIMIT_CORE, &none) == 0) {
    return {};
  }
  return errno_error(errno, "setrlimit: it may open more descriptors than it needs");
}

Result<void> gain_nothing() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) return {};
  return errno_error(errno, "no_new_privs: a program that it starts may gain rights");
}

}  // namespace

std::vector<Error> drop_rights() {
  std::vector<Error> refused;
  for (const auto drop : {&limit_resources, &gain_nothing, &drop_capabilities, &close_the_files,
                          &filter_system_calls}) {
    if (const auto dropped = drop(); !dropped) refused.push_back(dropped.error());
  }
  return refused;
}

}  // namespace bulkhead::supervisor
