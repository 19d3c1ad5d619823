// What every supervisor of the comparison restarts: says when it runs, then waits to be killed. Used by
// child_main.cpp, and by the test, which is its own child; supervised.cpp listens.
#pragma once

#include <cstdint>

namespace bulkhead::bench::others {

// All that the child knows it has from its environment, which each of the supervisors hands on.
inline constexpr const char* child_socket_variable =
    "BENCH_CHILD_SOCKET";  // where it says that it runs
inline constexpr const char* child_owner_variable = "BENCH_CHILD_OWNER";  // the benchmark's pid
// A descriptor that is owed a newline by who is ready, as s6 has it; need not be set.
inline constexpr const char* child_ready_fd_variable = "BENCH_CHILD_READY_FD";

// One datagram.
struct ChildNews {
  std::uint64_t running_ns = 0;  // CLOCK_MONOTONIC
  std::int32_t pid = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(ChildNews) == 16);

// Returns, as exit code, when the owner is dead, whose supervisors then are so, too; or when it cannot be reached.
int run_child();

}  // namespace bulkhead::bench::others
