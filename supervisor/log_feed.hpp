// The pipes between workers and the logger: one per instance, living as long as the system, both ends
// in the keeper's store. Used by the brain; the logger itself is another process.
#pragma once

#include <bulkhead/error.hpp>
#include <string>
#include <vector>

#include "ipc/json_rpc.hpp"
#include "supervisor/brain_arguments.hpp"
#include "supervisor/control_port.hpp"
#include "supervisor/core.hpp"
#include "supervisor/keeper_client.hpp"

namespace bulkhead::supervisor {

// Both ends stay open here, so that no worker is ever hit by SIGPIPE because the logger died, and
// nothing in the pipe is lost. Threads: the brain's loop.
class LogFeed {
 public:
  LogFeed(const SystemConfig&, const Plan&, const BrainArguments&, KeeperClient&);

  // The write end for an instance's output; the pipe is made at the first call. Borrowed.
  Result<int> output(Slot, ControlPort* logger);
  // Tells a (new) logger of every pipe that there is.
  void introduce(ControlPort& logger) const;
  std::string path(Slot) const;

 private:
  struct Pipe {
    base::UniqueFd read, write;
  };

  void make_directory(Slot) const;
  void announce(ControlPort& logger, Slot) const;
  const WorkerConfig& worker_of(Slot) const;

  const SystemConfig& config_;
  const Plan& plan_;
  const BrainArguments& arguments_;
  KeeperClient& keeper_;
  std::vector<Pipe> pipes_;  // by slot
};

}  // namespace bulkhead::supervisor
