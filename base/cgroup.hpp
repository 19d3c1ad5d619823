// Control groups of the kernel, versions 1 and 2 (cgroups(7)): where our own lies, and what can be done with
// one. Used by the brain and `doctor`. Knows nothing of workers and of what limits are good for.
#pragma once

#include <sys/types.h>
#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::base {

enum class CgroupVersion : std::uint8_t { v1 = 1, v2 = 2 };
std::string_view to_string(CgroupVersion) noexcept;  // "cgroup v1"

struct CgroupPlace {
  CgroupVersion version = CgroupVersion::v1;
  std::string directory;  // of a cgroup, as it is mounted
};

// The cgroup that counts for a controller, from the texts of /proc/PID/mountinfo and /proc/PID/cgroup. Pure. Where
// both versions are mounted, a controller belongs to that which /proc/PID/cgroup names it for. Whether version 2
// offers the controller is said in the directory, by cgroup.controllers. Errors: not_found, in words.
[[nodiscard]] Result<CgroupPlace> find_cgroup(std::string_view mountinfo,
                                              std::string_view membership,
                                              std::string_view controller);
// Of this process.
[[nodiscard]] Result<CgroupPlace> own_cgroup(std::string_view controller);

// The figure behind a word in a text of lines "word figure", as memory.events is; 0 when there is none. Pure.
std::uint64_t keyed_figure(std::string_view text, std::string_view word) noexcept;
// Whether a word is in a list such as cgroup.controllers. Pure.
bool has_word(std::string_view list, std::string_view word) noexcept;

// Why there is no cgroup, as a sentence: what is our own finding needs no code behind it.
std::string refusal_in_words(const Error&);

// Writes a control file that exists. Errors: what the system says, naming the file.
[[nodiscard]] Result<void> write_control(const std::string& file, std::string_view value);

// Fails when it has processes or cgroups in it; one that is not there is no error.
[[nodiscard]] Result<void> remove_cgroup(const std::string& directory);

// The processes in a cgroup, not those in cgroups below it. Empty when it is not there.
std::vector<pid_t> cgroup_members(const std::string& directory);

// SIGKILL to all in it, and to what they fork meanwhile, until nobody is left or the deadline has passed. Each is
// pinned by a pidfd and looked at again before the signal, so that a reused number is never hit.
void kill_cgroup(const std::string& directory, Deadline);

}  // namespace bulkhead::base
