// The stacks of all threads of a living process, by libdw: each thread is stopped in turn, with ptrace, and goes on. A
// part of bulkhead-symboliser, because what a hanging process holds in memory may be anything, and so may the files
// that it maps.
#pragma once

#include <sys/types.h>

#include <bulkhead/error.hpp>
#include <cstddef>
#include <string>

namespace bulkhead::supervisor {

// As JSON of at most so many bytes, in which outer frames and then threads are missing when it is too little:
//   {"modules":[{"path","build_id"}], "threads":[{"tid", "frames":[[module, offset] or [-1, address]], "error"?}],
//    "left_out": threads}
// Frames come innermost first; offsets are those of the file, as in crash reports.
// Threads: one at a time. Blocking: as long as a thread does not stop, which one in an uninterruptible wait never does:
//   the caller kills the program then, and the threads go on. Errors: not_permitted where ptrace is refused.
Result<std::string> stacks_of(pid_t process, std::size_t bytes_max);

}  // namespace bulkhead::supervisor
