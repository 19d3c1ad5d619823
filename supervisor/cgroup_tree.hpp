// The cgroups of a system in the hierarchy of one controller: a directory of the system's under the supervisor's own
// cgroup, and in it one for each incarnation that has a limit. Used by WorkerLimits; knows no workers, only names.
//
//   OWN/bulkhead-NAME-KEY/            made with the first limit, removed with the last worker
//   OWN/bulkhead-NAME-KEY/echo.0.3    incarnation 3 of echo.0
//   OWN/bulkhead-NAME-KEY/supervisor  v2, unless OWN is the root: the supervisor itself. There a cgroup that has
//                                     processes can hand no controller down (cgroups(7)), so they move
//
// A directory that no living incarnation owns is a dead one's, whichever brain or keeper made it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cgroup.hpp"

namespace bulkhead::supervisor {

// What the kernel killed in a cgroup for want of memory.
struct OomCount {
  std::uint32_t kills = 0;
  bool own_limit =
      false;  // it had reached the limit; else the machine, or a cgroup above, was short
};

// Threads: the brain's loop. After a crash of the brain: nothing is remembered that is not in the directories.
class CgroupTree {
 public:
  // Looks for what a predecessor made; makes nothing. `keeper` is the process that all of the system descends from.
  CgroupTree(std::string controller, std::string system_name, pid_t keeper);

  // The directory of the system's own that two runtime directories do not share.
  static std::string name_of(const std::string& system, const std::string& runtime_dir);

  // Makes the system's directory. Asked again, the answer is the same. Errors: why no cgroup can be made here.
  Result<void> prepare();

  bool is_there() const noexcept { return is_there_; }  // the system's directory
  base::CgroupVersion version() const noexcept { return own_.version; }
  std::string directory(std::string_view leaf) const;
  std::vector<std::string> leaves() const;  // those of incarnations

  Result<void> make(std::string_view leaf) const;
  // Of a leaf, for the controllers memory and pids. Errors: what the kernel refused.
  Result<void> set_limit(std::string_view leaf, std::uint64_t limit) const;
  std::optional<std::uint64_t> limit(std::string_view leaf) const;
  OomCount oom(std::string_view leaf) const;

  // Kills who is left in it, and removes it. Errors: it is still there.
  Result<void> remove(std::string_view leaf, Deadline) const;
  // Of the system, once it has no leaves; stays where the supervisor itself lives in it.
  Result<void> remove_all();

 private:
  Result<void> find();
  Result<void> make_ready();
  Result<void> hand_down();
  Result<void> move_out() const;

  std::string controller_;
  std::string system_name_;
  pid_t keeper_;
  base::CgroupPlace own_;
  std::optional<Error> missing_;  // there is no cgroup of our own to be seen
  std::optional<Result<void>> prepared_;
  bool is_there_ = false;
};

}  // namespace bulkhead::supervisor
