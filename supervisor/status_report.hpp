// `status --json`: what is, in one document. Used by the control API; reads /proc, decides nothing.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "supervisor/brain_arguments.hpp"
#include "supervisor/config_desk.hpp"
#include "supervisor/held_sockets.hpp"
#include "supervisor/internal_workers.hpp"
#include "supervisor/introducer.hpp"
#include "supervisor/supervision.hpp"
#include "supervisor/worker_desk.hpp"

namespace bulkhead::supervisor {

class PlainDesk;
class WorkerLimits;

struct StatusSources {
  const BrainArguments& arguments;
  const Plan& plan;
  const KeeperClient& keeper;
  const Supervision& supervision;
  const Introducer& introducer;
  const WorkerDesk& desk;
  const std::vector<InternalWorker*>& internals;
  const Processes& processes;
  const ConfigDesk& configs;
  const HeldSockets& sockets;
  const SystemConfig& config;
  const PlainDesk& plain;
  const WorkerLimits& limits;
};

// `name` is "" for everything, a worker or an instance. Errors: not_found, naming what there is.
Result<nlohmann::json> report_status(const StatusSources&, const std::string& name, bool all);

// The key `sandbox` of an instance.
nlohmann::json sandbox_of(const StatusSources&, Slot);

// "migrate.0: exited with code 1; echo.1: …": the workers that will not run again, and why.
std::string name_failed(const Plan&, const Supervision&, TimeNs now);

// The slots that a name from a user means: one instance, or all of a worker.
Result<std::vector<Slot>> slots_named(const Plan&, const std::string& name);

}  // namespace bulkhead::supervisor
