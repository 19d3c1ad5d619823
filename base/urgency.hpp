// Real-time priority for the few processes that repair the others, and for those that are being replaced: a machine
// that its own workers keep busy must not let them wait their turn. Used by the keeper, the brain, the runtime of workers
// and `doctor`.
#pragma once

#include <sys/types.h>

namespace bulkhead::base {

// The lowest priority of SCHED_RR (sched(7)), for this process and those that it starts. A scheduling
// policy that somebody chose for us stays. False: not permitted (CAP_SYS_NICE or RLIMIT_RTPRIO), and
// nothing has changed.
bool become_urgent() noexcept;

// From now on children start at ordinary priority, nice 0.
void keep_urgency_from_children() noexcept;

// Ends the urgency of a child that was started with SpawnPlan::urgent; its own children never had it. A policy that
// somebody chose for us stays.
void become_ordinary() noexcept;
void make_ordinary(pid_t child) noexcept;  // one that may not do so itself

// Whether become_urgent() would succeed, found out without doing it.
bool may_become_urgent() noexcept;

}  // namespace bulkhead::base
