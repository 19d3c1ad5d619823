// Leaks memory and descriptors because somebody wants to see what comes of it (`bulkhead chaos`). Used by ControlLink.
#pragma once

#include "ipc/fault_protocol.hpp"

namespace bulkhead::workers {

// As a program does that forgets what it has: blocks of the heap, all of them touched, and copies of `fd`; this process
// has them until it ends. Where memory runs out it throws std::bad_alloc, as the program's own allocation would; where
// descriptors do it stops. Threads: one at a time.
void leak(const ipc::Leak&, int fd);

}  // namespace bulkhead::workers
