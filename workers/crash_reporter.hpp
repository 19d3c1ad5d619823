// Says what the process dies of, into a page that outlives it (ipc/crash_page.hpp): signal, registers, frames, and
// the exception that nobody caught. Used by the Worker runtime; knows nothing of who reads the page.
//
// Everything that happens after the signal is async-signal-safe: no allocation, no lock, no stdio. Walking the stack
// may meet memory that is broken: a fault in there ends the walk, what was found before it counts, and the process
// dies of the first signal all the same. It costs nothing until then, but for a stack of 64 KiB that nobody touches.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <string_view>

#include "base/fd.hpp"

namespace bulkhead::workers {

// For SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS and SIGTRAP, each where it still has its default effect. The
// calling thread gets a stack of its own for them, so that it may run over the end of its stack. Does nothing in a
// program built with a sanitizer, which reports the same and better.
// Threads: once, before others exist. A forked child dies without a report. Errors: of the system.
Result<void> begin_crash_reports(base::UniqueFd page, std::uint32_t generation);

// The exception that is about to abort the process.
void note_uncaught(std::string_view type, std::string_view what) noexcept;

// For std::set_terminate: says on stderr and in the report which exception nobody caught.
[[noreturn]] void tell_uncaught_and_abort() noexcept;

}  // namespace bulkhead::workers
