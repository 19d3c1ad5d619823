// Deaths in words. Used by incidents and what is told of them; pure functions of what was recorded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ipc/crash_page.hpp"
#include "supervisor/incident_layout.hpp"

namespace bulkhead::supervisor {

// "SIGKILL", "exit 3", "watchdog", "oom", "not_ready", "lease_timeout", "exec_failed".
std::string cause_of(const incident_layout::Record&);

// "SIGSEGV writing 0x10 (stack overflow)", "abort: uncaught std::runtime_error: what", "killed by SIGKILL from pid
// 123 (bulkhead kill)". `report` is null where there is none.
std::string death_in_words(const incident_layout::Record&, const ipc::CrashPage* report);

// The runtime says that it could get no more memory: the exception that nobody caught was std::bad_alloc.
bool ran_out_of_memory(const ipc::CrashPage&);

// Where the last whole lines begin that are together no longer than so many bytes; within a line that is longer,
// a whole character.
std::size_t beginning_of_last(std::string_view text, std::size_t bytes);

std::string hexadecimal(std::uint64_t);  // "0xff"

// As JSON takes it: what is no UTF-8 is replaced.
std::string valid_text(std::string_view);

}  // namespace bulkhead::supervisor
