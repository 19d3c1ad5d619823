// Landlock, the kernel's confinement of a process by itself: from the call on, its files are those named, and no
// others. Used by the worker runtime and by `bulkhead doctor`; knows nothing of what is worth naming.
#pragma once

#include <bulkhead/error.hpp>
#include <string>
#include <vector>

namespace bulkhead::base {

// 0 where the kernel offers none; `reason` is then the errno: ENOSYS (not built in), EOPNOTSUPP (switched off at boot).
int landlock_version(int* reason = nullptr) noexcept;

struct FileAccess {
  // Files and directories with all that is in them; one that is not there, or out of reach anyway, is passed over.
  std::vector<std::string> read, write;  // write: read as well
};

// Nothing may be executed, no device controlled, no tcp port bound or connected to, and, where the kernel knows how,
// no signal sent and no abstract socket reached outside of this process. What is open stays usable.
// Needs no_new_privs. Threads: of the calling one and those that it starts. Never undone. Errors: unsupported
// where there is no Landlock; what the system says, naming the path.
Result<void> confine_files(const FileAccess&);

}  // namespace bulkhead::base
