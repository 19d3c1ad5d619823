// The life of a zygote: a process of the owner's program that has no threads and does nothing but fork workers and tell
// of their deaths. Called by Pool::entry(); ends with the owner, and its workers with it.
#pragma once

namespace bulkhead::pool {

// Of a process that was started as a zygote, with its socket at first_fd. `name`: argv[0] of workers by exec.
[[noreturn]] void live_as_zygote(const char* name);

}  // namespace bulkhead::pool
