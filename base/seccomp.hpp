// The kernel's side of a filter of system calls: whether it takes one, and putting one in force. Used by the worker
// runtime, the checks of a config and `bulkhead doctor`; knows nothing of what a filter says.
#pragma once

#include <linux/filter.h>

#include <bulkhead/error.hpp>
#include <span>

namespace bulkhead::base {

// Filters, and the action that turns a refused call into a signal with its number.
bool seccomp_offered() noexcept;

// For all threads of this process, and for ever. Needs no_new_privs. Errors: what the system says; a thread
// that has a filter of its own is named.
Result<void> install_filter(std::span<const sock_filter>);

}  // namespace bulkhead::base
