// Two processes, so that nothing outlives either: who runs commands, in a session of its own, and its parent, which
// the user sees. When the parent is killed the other one learns it from the lifeline; when that one is killed, all
// that it had started becomes the parent's and is ended there. Used by `map`.
#pragma once

#include <bulkhead/error.hpp>
#include <functional>

namespace bulkhead::pool {

// The child runs `work` and leaves with what it returns; so does the caller's process, which passes on SIGINT,
// SIGTERM, SIGHUP and SIGQUIT as a byte on the lifeline each, the signal's number, unless they are ignored.
// The end of the lifeline's file: the parent is gone. All descendants are gone when this returns.
// Those signals stay blocked in the caller, which has nothing left to do but to end. Threads: the caller's process has
// one. Errors: the system's; exec_failed when the child was killed.
Result<int> run_guarded(const std::function<int(int lifeline)>& work);

}  // namespace bulkhead::pool
