// Real-time priority for the few processes that repair the others: a machine that its own workers keep
// busy must not let their supervisor wait its turn. Used by the keeper, the brain and `doctor`.
#pragma once

namespace bulkhead::base {

// The lowest priority of SCHED_RR (sched(7)), for this process and those that it starts. A scheduling
// policy that somebody chose for us stays. False: not permitted (CAP_SYS_NICE or RLIMIT_RTPRIO), and
// nothing has changed.
bool become_urgent() noexcept;

// From now on children start at ordinary priority, nice 0.
void keep_urgency_from_children() noexcept;

// Whether become_urgent() would succeed, found out without doing it.
bool may_become_urgent() noexcept;

}  // namespace bulkhead::base
