// What the command line can be asked to do: one function a command, its options as plain values. Filled by
// command_line.cpp; the functions lie in one file per group.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/outcome.hpp"

namespace bulkhead::cli {

// Which system a command talks to: at most one of the two is set.
struct SystemChoice {
  std::string name;     // --name
  std::string control;  // --control: path of a control socket
};

// run.cpp
struct RunOptions {
  std::string config;
  bool detach = false;
  bool json_log = false;
};
Outcome run(const SystemChoice&, const RunOptions&);

// config_commands.cpp
Outcome check(const std::string& config);
Outcome schema();
Outcome effective_defaults(const std::string& config);

// simulate.cpp
struct SimulateOptions {
  std::string config, script;
  std::string length;  // of the timeline; "" = a minute after the script's last word
  std::uint64_t seed = 1;
  bool json = false;
};
Outcome simulate(const SimulateOptions&);

// status.cpp
struct StatusOptions {
  std::string name;  // "" = all
  bool json = false;
  bool watch = false;
  bool all = false;
};
Outcome status(const SystemChoice&, const StatusOptions&);

// queue.cpp
struct QueueOptions {
  std::string name;     // "" = all
  std::string requeue;  // "" = none; a task's number, or "all"
  bool json = false;
};
Outcome queue(const SystemChoice&, const QueueOptions&);

// control.cpp
struct KillOptions {
  std::string name;
  std::string signal = "SIGKILL";
};
Outcome kill(const SystemChoice&, const KillOptions&);
Outcome stop(const SystemChoice&, const std::string& name);
Outcome start(const SystemChoice&, const std::string& name);
Outcome restart(const SystemChoice&, const std::string& name);
Outcome shutdown(const SystemChoice&);

// reload.cpp
struct PlanOptions {
  std::string config;
  bool json = false;
};
Outcome plan(const SystemChoice&, const PlanOptions&);
Outcome reload(const SystemChoice&, const std::string& config);  // "" = the one in force
struct ScaleOptions {
  std::string name;
  std::uint32_t instances = 0;
};
Outcome scale(const SystemChoice&, const ScaleOptions&);

// events.cpp
struct EventsOptions {
  enum class Format : std::uint8_t { lines, json, terminal };  // terminal: with hints, for `run`
  Format format = Format::lines;
  bool follow = false;
  std::optional<std::uint64_t> since;
};
Outcome events(const SystemChoice&, const EventsOptions&);

// logs.cpp
struct LogsOptions {
  std::string name;
  bool follow = false;
  std::uint32_t lines = 20;
};
Outcome logs(const SystemChoice&, const LogsOptions&);

// incidents.cpp
struct IncidentsOptions {
  bool json = false;
};
Outcome incidents(const SystemChoice&, const IncidentsOptions&);
Outcome why(const SystemChoice&, const std::string& name);

// chaos.cpp
struct ChaosOptions {
  std::string duration = "30s";
  double rate = 2;
  std::optional<std::uint64_t> seed;  // another one each time
  std::string only;                   // a kind of fault; "": all
  bool with_supervisor = false;
  bool json = false;
};
Outcome chaos(const SystemChoice&, const ChaosOptions&);

// call.cpp
struct CallOptions {
  std::string service, method;
  std::string request = "null";
  std::string timeout = "10s";
};
Outcome call(const SystemChoice&, const CallOptions&);

// bench.cpp
struct BenchOptions {
  std::string json_path;  // "" = none
  bool quick = false;
  std::optional<int> kills;  // of bench recovery
  // Of bench latency; empty: all.
  std::vector<std::string> transports, modes;
  std::vector<std::size_t> sizes;
};
Outcome bench_latency(const BenchOptions&);
Outcome bench_throughput(const BenchOptions&);
Outcome bench_recovery(const BenchOptions&);
Outcome bench_pool(const BenchOptions&);

// map.cpp
struct MapOptions {
  std::vector<std::string> command;      // the program and its arguments
  std::optional<std::uint32_t> workers;  // as many as there are usable CPUs
  std::string timeout;                   // "": none
  std::string grace = "5s";
  std::uint32_t retries = 0;
  std::string report;  // "": none
  bool null = false;
  bool json = false;
  bool no_progress = false;
};
Outcome map(const MapOptions&);

// doctor.cpp, version.cpp
Outcome doctor();
Outcome version();

}  // namespace bulkhead::cli
