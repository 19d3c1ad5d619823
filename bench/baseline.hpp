// The bare mechanisms that ours are compared with, in the same run and on the same processors: what
// the hardware and the kernel take when nothing is checked, counted, or recovered. Used by latency.cpp.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <memory>

#include "bench/contestant.hpp"

namespace bulkhead::bench {

// Two cache lines, one per direction, both ends spinning with a pause.
Result<std::unique_ptr<Contestant>> start_cacheline(Processors);
// The message is copied into shared memory, a word is changed, the other end is woken.
Result<std::unique_ptr<Contestant>> start_futex(Processors, std::size_t bytes);
Result<std::unique_ptr<Contestant>> start_pipe(Processors, std::size_t bytes);
Result<std::unique_ptr<Contestant>> start_unix(Processors, std::size_t bytes);  // SOCK_SEQPACKET
Result<std::unique_ptr<Contestant>> start_tcp(Processors, std::size_t bytes);   // TCP_NODELAY

}  // namespace bulkhead::bench
