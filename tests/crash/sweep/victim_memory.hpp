// Private memory of a victim: after begin_victim_memory() every operator new of this process takes the next
// bytes of one arena and delete does nothing, so that what an operation executes does not depend on how
// full the tracer's heap happened to be. What malloc(3) does to itself when killed concerns nobody: it is
// in no shared memory. Used by Victim, in the child.
#pragma once

namespace bulkhead::sweep {

void begin_victim_memory() noexcept;
bool is_victim() noexcept;  // it has begun

}  // namespace bulkhead::sweep
