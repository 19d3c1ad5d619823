// The listening sockets of a config: opened once, held by the keeper from then on, so that clients queue while
// a worker or the brain is away. Used by the brain; knows no worker.
#pragma once

#include <bulkhead/error.hpp>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "supervisor/config.hpp"
#include "supervisor/keeper_client.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. After a crash: the keeper has them; what it has and the config in force has
// not, a successor lets go of.
class HeldSockets {
 public:
  // Takes those that the keeper holds already.
  explicit HeldSockets(KeeperClient&);

  // Opens what is not open yet, all or nothing. Errors: what the system says, naming socket and address.
  Result<void> open(const std::vector<SocketConfig>&);
  // Closes all others, and removes their files.
  void keep_only(const std::vector<SocketConfig>&);

  // Of those that a worker names, in its order. Borrowed; all are open.
  std::vector<int> of(const WorkerConfig&, const SystemConfig&) const;
  nlohmann::json status(const SystemConfig&) const;  // "sockets" of `status --json`
  // Borrowed; nullopt when it is not open (any more): the system ends.
  std::optional<int> held(const SocketConfig&) const;

 private:
  int fd(const SocketConfig&) const;

  KeeperClient& keeper_;
  std::map<std::string, base::UniqueFd> open_;  // by key_of()
};

// "tcp:127.0.0.1:41233" or "unix:/path": where it really listens.
std::string bound_address(int fd);

}  // namespace bulkhead::supervisor
