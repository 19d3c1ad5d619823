// The keeper's one child with a role: how a brain is started. Must not allocate once it is prepared.
#pragma once

#include <sys/types.h>
#include <bulkhead/error.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/spawn_script.hpp"
#include "supervisor/brain_arguments.hpp"

namespace bulkhead::supervisor {

class KeeperStore;

class KeeperBrain {
 public:
  // Opens the program, so that every later brain is of the same version, and fixes its arguments.
  Result<void> prepare(const KeeperArguments&);

  // Starts a brain that inherits the store. Only one at a time.
  base::ExecFailure start(const KeeperStore&) noexcept;
  // After its death was reaped.
  void forget() noexcept;

  bool is_alive() const noexcept { return pid_ > 0; }
  pid_t pid() const noexcept { return pid_; }
  int socket() const noexcept { return socket_.get(); }
  void kill() noexcept;
  void hang_up() noexcept;  // it closed its end, so it is dead or must be

 private:
  std::span<base::FdMapping> inherited_descriptors(const KeeperStore&, int socket) noexcept;

  KeeperArguments arguments_;
  std::vector<std::string> words_;
  std::vector<char*> argv_;
  base::UniqueFd program_;
  base::UniqueFd null_device_;
  base::UniqueFd socket_number_;  // holds the number under which every brain finds its socket
  base::UniqueFd socket_;         // our end of the living brain's pair
  base::UniqueFd pidfd_;
  pid_t pid_ = 0;
};

}  // namespace bulkhead::supervisor
