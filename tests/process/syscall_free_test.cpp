// While both ends of a shared-memory link are awake no message enters the kernel. Who counts is the kernel itself: a
// seccomp filter turns every system call into a signal instead of doing it.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bulkhead/topic.hpp>
#include <cstddef>
#include <new>
#include <optional>

namespace bulkhead::test {
namespace {

// Written by the children's signal handlers, read by the parent after their end.
struct Counts {
  std::atomic<std::uint32_t> looks{0};   // at the lifeline, every 50 ms: see PairAttention
  std::atomic<std::uint32_t> others{0};  // everything else
  std::atomic<int> last{-1};
};
Counts* counts = nullptr;

#ifdef __x86_64__
void on_system_call(int, siginfo_t* info, void* context) {
  if (info->si_syscall == SYS_poll) {
    ++counts->looks;
  } else {
    ++counts->others;
    counts->last = info->si_syscall;
  }
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = 0;  // nothing was ready
}

bool forbid_system_calls() {
  struct sigaction action = {};
  action.sa_sigaction = on_system_call;
  action.sa_flags = SA_SIGINFO;
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return false;
  std::array<sock_filter, 5> filter{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program{filter.size(), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

std::optional<std::array<std::size_t, 2>> two_processors() {
  cpu_set_t usable;
  if (::sched_getaffinity(0, sizeof usable, &usable) != 0 || CPU_COUNT(&usable) < 2) return {};
  std::array<std::size_t, 2> found{};
  for (std::size_t cpu = 0, count = 0; count < 2; ++cpu) {
    if (CPU_ISSET(cpu, &usable)) found[count++] = cpu;
  }
  return found;
}

constexpr int rounds = 200'000;
constexpr int warm_up = 100;
constexpr int well = 17;

// One end of the ping-pong, in a process and on a processor of its own.
template <class Round>
pid_t start(std::size_t cpu, const Round& round) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(cpu, &here);
  if (::sched_setaffinity(0, sizeof here, &here) != 0) ::_exit(1);
  for (int i = 0; i < rounds; ++i) {
    if (i == warm_up && !forbid_system_calls()) ::_exit(2);
    if (!round()) ::_exit(3);
  }
  ::_exit(well);
}

template <class Ask, class Answer>
void run(const std::array<std::size_t, 2>& processors, const Ask& ask, const Answer& answer) {
  void* const page =
      ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  counts = new (page) Counts;
  const std::array<pid_t, 2> pids{start(processors[0], ask), start(processors[1], answer)};
  for (const pid_t pid : pids) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), well);
  }
  EXPECT_EQ(counts->others, 0U) << "the last was number " << counts->last;
  EXPECT_LT(counts->looks, rounds / 100U) << "the looks at the lifeline go with the messages";
  ::munmap(page, sizeof(Counts));
}

constexpr std::array<std::byte, 56> message{};

TEST(SharedMemory, carries_no_message_through_the_kernel_while_both_ends_are_awake) {
  const auto processors = two_processors();
  if (!processors) GTEST_SKIP() << "two ends that never sleep need two processors";
  ChannelOptions options;
  options.wait = WaitMode::spin;
  auto pair = connected_pair(Transport::shm, options);
  ASSERT_TRUE(pair) << pair.error().to_string();
  Channel &ping = pair->first, &pong = pair->second;
  run(
      *processors, [&] { return ping.send(message).has_value() && ping.receive().has_value(); },
      [&] {
        const auto question = pong.receive();
        return question && pong.send(question->bytes()).has_value();
      });
}

// Also to a subscriber that has a handle for its event loop, as long as it finds something.
TEST(SharedMemory, carries_no_topic_through_the_kernel_while_both_ends_are_awake) {
  const auto processors = two_processors();
  if (!processors) GTEST_SKIP() << "two ends that never sleep need two processors";
  TopicOptions options;
  options.wait = WaitMode::spin;
  auto there = connected_topic(Transport::shm, options, 1);
  auto back = connected_topic(Transport::shm, options, 1);
  ASSERT_TRUE(there && back);
  run(
      *processors,
      [&] {
        return there->publisher.publish(message).has_value() &&
               back->subscribers[0].receive().has_value();
      },
      [&] {
        Topic& subscriber = there->subscribers[0];
        return subscriber.native_handle() >= 0 && subscriber.receive().has_value() &&
               back->publisher.publish(message).has_value();
      });
}
#else
TEST(SharedMemory, carries_no_message_through_the_kernel_while_both_ends_are_awake) {
  GTEST_SKIP() << "written for x86-64";
}
#endif

}  // namespace
}  // namespace bulkhead::test
