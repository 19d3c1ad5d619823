// In which order a pool's tasks get the processors, and what became of it. Values.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bulkhead {

// The classic ones, of processes by processes. The first three leave a task alone until it has ended; the others take the
// processor from it (SIGSTOP) and give it back later (SIGCONT). Silberschatz, "Operating System Concepts", chapter 5.
enum class SchedulingPolicy : std::uint8_t {
  first_come,          // by priority, then in the order of submission
  shortest_next,       // who is expected to take the shortest time
  priority_aging,      // by priority, which grows while a task waits
  shortest_remaining,  // as shortest_next, and at once: who has more left to do gives way
  round_robin,         // a quantum each
  feedback,  // several queues: who uses up its quantum goes one down, where the quantum is twice as long
};

std::string_view to_string(SchedulingPolicy) noexcept;  // "first_come", and so on

// Of the tasks of a pool in processes. Threads, and items of a map, are taken in the order of first_come; a map gets the
// workers that tasks leave idle.
struct Scheduling {
  SchedulingPolicy policy = SchedulingPolicy::first_come;
  std::chrono::nanoseconds quantum = std::chrono::milliseconds(20);  // 1 ms at least
  // One step of priority for so long a wait.
  std::chrono::nanoseconds aging = std::chrono::milliseconds(100);
  // Who was stopped keeps its process: so many at the most. With more, new tasks wait until one has ended.
  unsigned stopped_max = 16;
  bool trace = false;  // keep what Pool::schedule_trace() returns: 40 bytes a turn
};

// One turn of one task on one processor.
struct ScheduledTurn {
  std::uint64_t task = 0;       // the n-th that was submitted, from 1
  std::uint32_t processor = 0;  // which of as many as there are workers
  std::chrono::steady_clock::time_point begin{}, end{};
};

// Of all turns that have ended, in the order of their ends.
using ScheduleTrace = std::vector<ScheduledTurn>;

}  // namespace bulkhead
