// What the control protocol says of strict sandboxes (docs/design/sandbox.md): the supervisor hands over what a worker
// is to put in force on itself, and the worker says how much of it the kernel took. As ipc/control_protocol.hpp otherwise.
#pragma once

#include <string>
#include <vector>

#include "ipc/control_protocol.hpp"

namespace bulkhead::ipc {

namespace method {
// Both are notifications. brain -> worker, before the answer to hello; and worker -> brain, before its body begins.
inline constexpr std::string_view sandbox_install = "sandbox.install",
                                  sandbox_installed = "sandbox.installed";
}  // namespace method

struct SandboxInstall {  // fds: filter, a memfd with the instructions of a seccomp filter
  std::vector<std::string> read, write;  // absolute paths; write: read as well
};
struct SandboxInstalled {
  std::vector<std::string> in_effect;
  std::vector<std::string> refused;  // "landlock: why"
};

[[nodiscard]] Json encode(const SandboxInstall&);
[[nodiscard]] Json encode(const SandboxInstalled&);
template <>
Result<SandboxInstall> decode(const Json&);
template <>
Result<SandboxInstalled> decode(const Json&);

}  // namespace bulkhead::ipc
