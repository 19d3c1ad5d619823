// The clock of swept programs: linked in place of clock_gettime(3), see CMakeLists.txt. In a victim it goes
// on by a microsecond with each look, since a path that depended on the time would not always come to the
// same points; the vDSO's clock has loops that do. It begins with the next full second of the real clock, so
// that a sleep until a time still lasts. Everywhere else it is the system call.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/sweep/victim_memory.hpp"

extern "C" {
// NOLINTNEXTLINE(bugprone-reserved-identifier): the name that the linker wants
int __wrap_clock_gettime(clockid_t clock, timespec* time);
// NOLINTNEXTLINE(bugprone-reserved-identifier): as above
int __wrap_clock_gettime(clockid_t clock, timespec* time) {
  if (!bulkhead::sweep::is_victim()) {
    return static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  }
  static timespec now{};
  if (now.tv_sec == 0) {
    if (syscall(SYS_clock_gettime, clock, &now) != 0) return -1;
    ++now.tv_sec;
    now.tv_nsec = 0;
  }
  now.tv_nsec += 1000;
  *time = now;
  return 0;
}
}
