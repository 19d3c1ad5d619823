// The crash worker: works for a while, then goes wrong in the way that its config names, so that people
// and tests can watch what the supervisor makes of it.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "workers/builtin/builtin.hpp"
#include "workers/builtin/crash.hpp"
#include "workers/builtin/settings.hpp"

namespace bulkhead::workers {
namespace {

void nap() noexcept {
  const timespec span = {0, 100'000'000};
  ::nanosleep(&span, nullptr);
}

Result<void> segfault(Worker&, const Crash&) {
  volatile int* volatile nowhere = nullptr;  // both: else the store may be moved elsewhere
  *nowhere = 1;
  return {};
}

Result<void> abort_now(Worker&, const Crash&) { std::abort(); }

Result<void> leave(Worker&, const Crash& crash) { std::_Exit(static_cast<int>(crash.code)); }

// Each frame fills a page and uses what the next one returns, so that no compiler makes it a loop; the
// end that never comes is volatile, so that none can know.
volatile int last_depth = -1;
int deeper(int depth) noexcept {
  volatile char page[4096];
  page[0] = static_cast<char>(depth);
  return depth == last_depth ? 0 : deeper(depth + 1) + page[0];
}

Result<void> overflow_stack(Worker&, const Crash&) {
  std::printf("%d\n", deeper(0));
  return {};
}

// Without the volatile no compiler would take a call of nothing, or a division by it, seriously.
Result<void> call_nothing(Worker&, const Crash&) {
  int (*volatile nothing)() = nullptr;
  volatile int answer = nothing();
  std::printf("%d\n", answer);
  return {};
}

Result<void> divide_by_zero(Worker&, const Crash&) {
  volatile int whole = 1, nothing = 0;
  const int share = whole / nothing;
  std::printf("%d\n", share);
  return {};
}

// A mapping may be longer than its file.
Result<void> read_beyond_the_end(Worker&, const Crash&) {
  const int file = ::memfd_create("empty", MFD_CLOEXEC);
  const void* const mapped = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) return errno_error(errno, "mapping an empty file");
  const auto* const beyond = static_cast<const volatile char*>(mapped);
  const char read = *beyond;
  std::printf("%d\n", read);
  return {};
}

Result<void> no_instruction(Worker&, const Crash&) { __builtin_trap(); }

// What a wild write over the stack leaves: nobody can find the caller any more, and who looks for it faults.
Result<void> lose_the_stack(Worker&, const Crash&) {
#if defined(__x86_64__)
  asm volatile("mov $64, %%rsp\n\tmovl $1, 0" ::: "memory");
#endif
  std::abort();
}

void in_a_thread() {
  volatile int* volatile thread_nowhere = nullptr;
  *thread_nowhere = 1;
}

Result<void> segfault_in_a_thread(Worker&, const Crash&) {
  std::thread(in_a_thread).join();
  return {};
}

// The child is nobody's worker, and what it dies of is no report of its parent's.
Result<void> segfault_in_a_child(Worker& self, const Crash& crash) {
  const pid_t child = ::fork();
  if (child < 0) return errno_error(errno, "forking");
  if (child == 0) return segfault(self, crash);
  int status = 0;
  ::waitpid(child, &status, 0);
  std::_Exit(WIFSIGNALED(status) ? static_cast<int>(crash.code) : 1);
}

Result<void> throw_up(Worker&, const Crash&) {
  throw std::runtime_error("the crash worker was told to throw");
}

// Runs into the limit of its own address space, which it sets where nobody else did, so that it never
// takes the machine with it.
Result<void> run_out_of_memory(Worker& self, const Crash&) {
  constexpr rlim_t own_limit = rlim_t{256} << 20;
  rlimit limit = {};
  if (::getrlimit(RLIMIT_AS, &limit) != 0) return errno_error(errno, "reading RLIMIT_AS");
  if (limit.rlim_cur == RLIM_INFINITY) {
    limit.rlim_cur = own_limit;
    if (::setrlimit(RLIMIT_AS, &limit) != 0) return errno_error(errno, "setting RLIMIT_AS");
  }
  std::vector<std::vector<char>> hoard;
  for (;;) {
    self.beat();
    hoard.emplace_back(std::size_t{1} << 20, 'x');  // written to, so that it is really used
  }
}

Result<void> spin(Worker&, const Crash&) {
  for (;;) asm volatile("");  // a loop without an effect may be left out otherwise
}

void spin_for_ever() {
  for (;;) asm volatile("");
}

// Its main thread waits for one that never ends.
Result<void> spin_in_a_thread(Worker&, const Crash&) {
  std::thread(spin_for_ever).join();
  return {};
}

Result<void> hang(Worker&, const Crash&) {
  for (;;) ::pause();
}

// Alive by its heart-beat, deaf to everything else.
Result<void> ignore_sigterm(Worker& self, const Crash&) {
  ::signal(SIGTERM, SIG_IGN);
  for (;;) {
    self.beat();
    nap();
  }
}

// Leaves a process behind that is no child of anybody here, in a session of its own, and ignores
// requests to stop.
Result<void> double_fork(Worker& self, const Crash&) {
  const pid_t child = ::fork();
  if (child < 0) return errno_error(errno, "forking");
  if (child == 0) {
    ::setsid();
    if (::fork() != 0) ::_exit(0);
    ::signal(SIGTERM, SIG_IGN);
    for (;;) ::pause();
  }
  return self.pause(std::chrono::hours(24 * 365));
}

Result<void> flood_stdout(Worker& self, const Crash&) {
  const std::string line(1023, '#');
  while (!self.stopping()) std::puts(line.c_str());
  return {};
}

Result<void> close_descriptors(Worker&, const Crash&) {
  ::close_range(0, ~0U, 0);
  for (;;) ::pause();
}

std::map<std::string, Disaster> make_disasters() {
  std::map<std::string, Disaster> all{{"segv", &segfault},
                                      {"abort", &abort_now},
                                      {"exit", &leave},
                                      {"stack_overflow", &overflow_stack},
                                      {"bad_call", &call_nothing},
                                      {"divide", &divide_by_zero},
                                      {"bus", &read_beyond_the_end},
                                      {"illegal", &no_instruction},
                                      {"lost_stack", &lose_the_stack},
                                      {"thread", &segfault_in_a_thread},
                                      {"child_segv", &segfault_in_a_child},
                                      {"throw", &throw_up},
                                      {"out_of_memory", &run_out_of_memory},
                                      {"spin", &spin},
                                      {"spin_thread", &spin_in_a_thread},
                                      {"hang", &hang},
                                      {"ignore_sigterm", &ignore_sigterm},
                                      {"double_fork", &double_fork},
                                      {"flood_stdout", &flood_stdout},
                                      {"close_fds", &close_descriptors}};
  all.insert(forbidden_calls().begin(), forbidden_calls().end());
  return all;
}

const std::map<std::string, Disaster>& disasters() {
  static const auto all = make_disasters();
  return all;
}

}  // namespace

Result<void> run_crash(Worker& self) {
  Crash crash;
  auto read = Settings(self.config())
                  .text("mode", crash.mode)
                  .required("mode")
                  .duration("after", crash.after)
                  .count("code", crash.code, 0, 255)
                  .finish();
  if (!read) return read;
  const auto disaster = disasters().find(crash.mode);
  if (disaster == disasters().end()) {
    std::string names;
    for (const auto& [name, function] : disasters()) names += " " + name;
    return make_error(Errc::bad_config,
                      "config key \"mode\" is \"" + crash.mode + "\", not one of" + names);
  }
  self.ready();
  if (auto paused = self.pause(crash.after); !paused) return self.ended(paused.error());
  self.status(crash.mode);
  return disaster->second(self, crash);
}

}  // namespace bulkhead::workers
