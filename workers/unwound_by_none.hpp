// Calls a function so that no exception gets out of it. Used by the Worker runtime.
#pragma once

namespace bulkhead::workers {

// An exception that would leave `function` ends in std::terminate before a single frame is unwound, so that the stack
// of the throw is there for whoever reports it: the frame of this call has no unwind table, so the search for a handler
// ends here. (A noexcept function would count as a handler, and what lies between would be unwound first.)
void call_unwound_by_none(void (*function)(void*), void* argument);

}  // namespace bulkhead::workers
