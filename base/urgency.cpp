#include "base/urgency.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace bulkhead::base {

bool become_urgent() noexcept {
  const int policy = ::sched_getscheduler(0);
  if (policy != SCHED_OTHER) return policy == SCHED_RR || policy == SCHED_FIFO;
  const sched_param lowest{::sched_get_priority_min(SCHED_RR)};
  return ::sched_setscheduler(0, SCHED_RR, &lowest) == 0;
}

void keep_urgency_from_children() noexcept {
  const int policy = ::sched_getscheduler(0);
  sched_param parameters{};
  if (policy < 0 || ::sched_getparam(0, &parameters) != 0) return;
  // Without privilege the flag can be set, but not taken back.
  (void)::sched_setscheduler(0, policy | SCHED_RESET_ON_FORK, &parameters);
}

void become_ordinary() noexcept { make_ordinary(0); }

void make_ordinary(pid_t child) noexcept {
  if (::sched_getscheduler(child) != (SCHED_RR | SCHED_RESET_ON_FORK)) return;
  const sched_param none{};
  if (::sched_setscheduler(child, SCHED_OTHER, &none) == 0) return;
  // Without privilege the flag stays.
  (void)::sched_setscheduler(child, SCHED_OTHER | SCHED_RESET_ON_FORK, &none);
}

bool may_become_urgent() noexcept {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(become_urgent() ? 0 : 1);
  if (child < 0) return false;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace bulkhead::base
