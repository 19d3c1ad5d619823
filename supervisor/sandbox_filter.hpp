// The seccomp filter of a strict sandbox, made by libseccomp out of the table of permitted calls. Used by the brain,
// which hands it to a worker of the runtime; does not install it.
#pragma once

#include <sys/types.h>

#include <bulkhead/error.hpp>

#include "base/fd.hpp"

namespace bulkhead::supervisor {

// A sealed memfd full of sock_filter, for the process `pid`: it may signal and read itself, and nobody else.
// A call that is not permitted raises SIGSYS, so that the crash reporter can tell which it was, and from where; with the
// signal blocked or at its default it kills. Of another architecture's calls the first kills. Errors: unsupported.
[[nodiscard]] Result<base::UniqueFd> make_sandbox_filter(pid_t pid);

}  // namespace bulkhead::supervisor
