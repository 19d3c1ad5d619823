// What the threads of a process are doing, as /proc says; and, out of two such looks, why it does not do what it should.
// Used before a worker that hangs is killed. Knows nothing of workers, beats or restarts.
#pragma once

#include <sys/types.h>

#include <bulkhead/error.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::supervisor {

struct ThreadState {
  pid_t id = 0;
  std::string name;
  char state = '?';  // as in proc(5): R, S, D, T, t, …
  std::chrono::nanoseconds on_cpu{0};
  std::chrono::nanoseconds waited{0};  // able to run, and not given a processor
  std::string waits_in;                // of the kernel's functions; "" where it does not say
};

struct ThreadsSeen {
  pid_t process = 0;
  std::chrono::nanoseconds at{0};  // CLOCK_MONOTONIC
  std::vector<ThreadState> threads;
};

// The first 256 of them. Errors: not_found for a process that is gone; unsupported where the kernel keeps no schedstat.
Result<ThreadsSeen> look_at_threads(pid_t process);

// By a signal or a debugger, all of it. False for one that is gone.
bool is_stopped(pid_t process);

// Stored in incidents: never renumber.
enum class Hang : std::uint8_t {
  unknown = 0,          // nobody could look
  blocked = 1,          // asleep, waiting for something
  spinning = 2,         // it computes
  stopped = 3,          // by a signal or a debugger
  uninterruptible = 4,  // in the kernel, which does not let it go
  starved = 5,          // it wants to compute and is given no processor
};

std::string_view to_string(Hang) noexcept;  // "spinning"

struct Verdict {
  Hang hang = Hang::unknown;
  pid_t thread = 0;     // which shows it: the busiest, or the main one
  int cpu_percent = 0;  // of a processor, between the looks
};

// Two looks at one process, some time apart.
Verdict judge(const ThreadsSeen& before, const ThreadsSeen& now);

// For one thread, between the looks; 0 for one that is not in both.
int cpu_percent(const ThreadsSeen& before, const ThreadsSeen& now, pid_t thread);

// "thread 12 was spinning (97 % of a processor)"; "" for unknown.
std::string in_words(const Verdict&, pid_t process);

}  // namespace bulkhead::supervisor
