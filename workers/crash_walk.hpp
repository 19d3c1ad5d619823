// The machine's part of a crash report: registers, frames, and the files that frames lie in. Called within a signal
// handler, so everything here is async-signal-safe. Used by crash_reporter.cpp.
#pragma once

#include <ucontext.h>

#include <cstdint>

#include "ipc/crash_page.hpp"

namespace bulkhead::workers {

struct Registers {
  std::uint64_t pc = 0, sp = 0, fp = 0;
};
Registers registers_of(const ucontext_t&) noexcept;
ipc::CrashAccess access_of(
    const ucontext_t&) noexcept;  // of the page fault; unknown where it was none
void name_of_thread(char (&name)[16]) noexcept;

// Beforehand: what the walk would have to look up for the first time.
void prepare_walk() noexcept;

// Adds the frames that the interrupted thread is in. Each counts as soon as it is there. Where the program counter
// itself is wrong, as after a call through a bad pointer, the walk begins with the caller.
void walk(ucontext_t&, ipc::CrashPage&) noexcept;

// Adds the modules of the frames.
void note_modules(ipc::CrashPage&) noexcept;

}  // namespace bulkhead::workers
