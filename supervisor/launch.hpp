// How `bulkhead run` becomes a keeper: takes the system's name, makes what keeper and brain share,
// and execs. Used by the command line and by tests; knows nothing of the config's meaning.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <string>

#include "base/fd.hpp"
#include "supervisor/brain_arguments.hpp"
#include "supervisor/keeper_layout.hpp"
#include "supervisor/sealed_config.hpp"

namespace bulkhead::supervisor {

struct LaunchRequest {
  std::string name;
  std::string runtime_dir;        // made with mode 0700 when it is missing
  std::string control_path;       // "" = <runtime_dir>/<name>.sock
  std::string program_directory;  // where bulkhead-keeper and bulkhead-brain lie
  ConfigText config;
  LogFormat log_format = LogFormat::text;
  bool detached = false;
  std::uint32_t store_entries = keeper_layout::store_entries_max;
  std::uint32_t exit_entries = keeper_layout::exit_entries_default;  // a power of two
};

struct LaunchSpec {
  base::UniqueFd keeper_page, state, lock, listener, config;
  std::string keeper_program, brain_program;
  SystemArguments system;
};

// Call it in the process that is going to be the keeper (after a fork for --detach): the lock file
// names its pid. A failure leaves no name behind. Errors: already_exists "system demo is running already
// (pid N); ...", and for a control path at which a file or a running system's socket lies; not_permitted
// for a runtime directory that others can enter; invalid_argument for a socket path that is too long.
Result<LaunchSpec> prepare_launch(const LaunchRequest&);

// For a start that is given up: removes the socket and the lock file. Not for a spec whose keeper runs.
void withdraw(const LaunchSpec&);

// The keeper's own argument list for a spec whose descriptors it inherits under the same numbers.
KeeperArguments keeper_arguments(const LaunchSpec&);

// Returns only when it failed. The process becomes the keeper, with its pid, stdin, stdout, stderr
// and environment.
Error exec_keeper(LaunchSpec);

}  // namespace bulkhead::supervisor
