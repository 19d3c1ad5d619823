// How the system as a whole fares, told to the service manager that started it: READY=1, STOPPING=1 and STATUS= of
// sd_notify(3), through the keeper. Used by the brain; knows no worker.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <string>

#include "supervisor/core_plan.hpp"
#include "supervisor/core_state.hpp"
#include "supervisor/keeper_client.hpp"

namespace bulkhead::supervisor {

// The whole message, so that a later one makes up for one that was lost. Ready: every worker is up, or keeps failing, or
// waits for one that does: a service manager that waited for that one would end all others. It stays so: `was_ready` is what an earlier message said.
std::string service_message(const Plan&, const State&, bool was_ready);

// Threads: the brain's loop. After a crash of the brain: the successor says it again.
class ServiceVoice {
 public:
  ServiceVoice(boost::asio::io_context&, const Plan&, const State&, KeeperClient&);

  // Something changed. Costs nothing where nobody listens; otherwise what changes within a moment is told at once.
  void changed();

 private:
  void speak();

  const Plan& plan_;
  const State& state_;
  KeeperClient& keeper_;
  boost::asio::steady_timer soon_;
  std::string said_;
  bool waits_ = false, was_ready_ = false;
};

}  // namespace bulkhead::supervisor
