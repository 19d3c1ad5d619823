// Compiled without unwind tables (CMakeLists.txt).
#include "workers/unwound_by_none.hpp"

namespace bulkhead::workers {

void call_unwound_by_none(void (*function)(void*), void* argument) {
  function(argument);
  asm volatile("");  // no tail call: this frame has to be on the stack
}

}  // namespace bulkhead::workers
