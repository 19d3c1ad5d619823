#include "supervisor/sandbox_calls.hpp"

#include <seccomp.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

namespace bulkhead::supervisor {
namespace {

using Name = std::string_view;

// What is open already, and pipes, bells and pairs of one's own.
constexpr Name descriptors[] = {
    "read",        "write",     "readv",   "writev",    "pread64",   "pwrite64",
    "preadv",      "pwritev",   "preadv2", "pwritev2",  "lseek",     "close",
    "close_range", "dup",       "dup2",    "dup3",      "pipe",      "pipe2",
    "eventfd",     "eventfd2",  "fstat",   "fstatfs",   "ftruncate", "fallocate",
    "fsync",       "fdatasync", "flock",   "fadvise64", "sendfile",  "copy_file_range",
    "splice",      "tee"};

// Waiting for them.
constexpr Name waiting[] = {"poll",         "ppoll",         "select",    "pselect6",
                            "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
                            "epoll_pwait",  "epoll_pwait2"};

// Links over unix, tcp and pipe, the control socket, and listening sockets that are given.
constexpr Name sockets[] = {"recvfrom", "recvmsg",    "recvmmsg",   "accept",      "accept4",
                            "shutdown", "getsockopt", "setsockopt", "getsockname", "getpeername"};

// Segments, the heap, stacks.
constexpr Name memory[] = {"munmap", "mremap", "madvise", "brk",      "msync",      "mincore",
                           "mlock",  "mlock2", "munlock", "mlockall", "munlockall", "memfd_create"};

// Threads, and how they wait for each other.
constexpr Name threads[] = {"futex",
                            "futex_waitv",
                            "set_robust_list",
                            "get_robust_list",
                            "rseq",
                            "set_tid_address",
                            "membarrier",
                            "sched_yield",
                            "getcpu",
                            "sched_getaffinity",
                            "sched_getparam",
                            "sched_getscheduler",
                            "sched_getattr",
                            "sched_get_priority_max",
                            "sched_get_priority_min",
                            "getpriority",
                            "gettid",
                            "exit",
                            "exit_group",
                            "restart_syscall"};

constexpr Name clocks[] = {"clock_gettime",   "clock_getres",     "clock_nanosleep",
                           "nanosleep",       "gettimeofday",     "time",
                           "times",           "timerfd_create",   "timerfd_settime",
                           "timerfd_gettime", "timer_create",     "timer_settime",
                           "timer_gettime",   "timer_getoverrun", "timer_delete",
                           "setitimer",       "getitimer",        "alarm"};

// Handlers, and the crash reporter.
constexpr Name signals[] = {"rt_sigaction",  "rt_sigprocmask", "rt_sigreturn",
                            "rt_sigpending", "rt_sigsuspend",  "rt_sigtimedwait",
                            "sigaltstack",   "signalfd4",      "pause"};

// Which files these reach is Landlock's part.
constexpr Name files[] = {
    "open",   "openat",  "openat2",   "creat",     "stat",       "lstat",     "newfstatat",
    "statx",  "statfs",  "access",    "faccessat", "faccessat2", "readlink",  "readlinkat",
    "getcwd", "chdir",   "fchdir",    "getdents",  "getdents64", "mkdir",     "mkdirat",
    "rmdir",  "unlink",  "unlinkat",  "rename",    "renameat",   "renameat2", "link",
    "linkat", "symlink", "symlinkat", "truncate",  "umask"};

constexpr Name identity[] = {"getpid",  "getppid",   "getuid",    "geteuid",   "getgid",
                             "getegid", "getresuid", "getresgid", "getgroups", "getpgid",
                             "getpgrp", "getsid",    "getrusage", "getrlimit", "sysinfo",
                             "uname",   "getrandom", "capget",    "wait4",     "waitid"};

constexpr CallGroup groups[] = {
    {"descriptors", descriptors}, {"waiting", waiting}, {"sockets", sockets},
    {"memory", memory},           {"threads", threads}, {"clocks", clocks},
    {"signals", signals},         {"files", files},     {"identity", identity}};

constexpr Name restricted[] = {"sendto",
                               "sendmsg",
                               "sendmmsg",
                               "clone",
                               "mmap",
                               "mprotect",
                               "fcntl",
                               "ioctl",
                               "prctl",
                               "socketpair",
                               "socket",
                               "kill",
                               "tgkill",
                               "rt_sigqueueinfo",
                               "rt_tgsigqueueinfo",
                               "process_vm_readv",
                               "prlimit64",
                               "sched_setaffinity"};

// The C library makes a thread by clone where there is no clone3, whose flags no filter can read. The others change
// what neither Landlock nor a filter could tell apart by path, or the rights that the config gave.
constexpr AnsweredCall answered[] = {
    {"clone3", ENOSYS},      {"io_uring_setup", ENOSYS}, {"pkey_alloc", ENOSYS},
    {"chmod", EPERM},        {"fchmod", EPERM},          {"fchmodat", EPERM},
    {"chown", EPERM},        {"fchown", EPERM},          {"lchown", EPERM},
    {"fchownat", EPERM},     {"utime", EPERM},           {"utimes", EPERM},
    {"utimensat", EPERM},    {"futimesat", EPERM},       {"setrlimit", EPERM},
    {"setpriority", EPERM},  {"sched_setparam", EPERM},  {"sched_setscheduler", EPERM},
    {"sched_setattr", EPERM}};

}  // namespace

std::span<const CallGroup> permitted_calls() noexcept { return groups; }
std::span<const std::string_view> restricted_calls() noexcept { return restricted; }
std::span<const AnsweredCall> answered_calls() noexcept { return answered; }

std::string name_of_call(std::uint64_t number) {
  const std::unique_ptr<char, void (*)(void*)> name(
      number <= INT_MAX
          ? ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(number))
          : nullptr,
      &std::free);
  return name != nullptr ? std::string(name.get()) : "system call " + std::to_string(number);
}

}  // namespace bulkhead::supervisor
