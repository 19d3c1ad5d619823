// How long a killed worker is away: in a system of its own, one built-in worker is killed again and
// again. Used by `bulkhead bench recovery`.
#pragma once

#include <bulkhead/error.hpp>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bulkhead::bench {

struct RecoveryOptions {
  std::string program;  // the command `bulkhead`, which starts the system
  int kills = 200;
  bool warm_spare = false;  // each death is answered by a process that waited for it
};

// One row: from just before SIGKILL is sent to the supervisor's knowing of the death, and to the successor's ready.
// With a warm spare each kill waits until there is one again. Errors: exec_failed, too, for a death that no spare answered.
// Blocking: a few milliseconds a kill. The system is gone when it returns.
Result<nlohmann::json> measure_recovery(const RecoveryOptions&);

}  // namespace bulkhead::bench
