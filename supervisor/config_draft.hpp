// A config on its way from text to SystemConfig: the values with their positions, what has been understood
// so far, and what was wrong with the rest. Shared by config_*.cpp; gone when parse_config returns.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/config.hpp"
#include "supervisor/config_reader.hpp"

namespace bulkhead::supervisor {

inline constexpr std::uint32_t instances_max = 8192;  // as many slots as the state region has
inline constexpr std::uint32_t warm_spares_max = 8;   // each costs memory all the time

struct Draft {
  explicit Draft(const ParseContext& parse_context) : context(parse_context) {}

  const ParseContext& context;
  Issues issues;
  SystemConfig config;
  WorkerConfig worker_defaults;  // what "defaults" makes of a worker
  bool defaults_state_limit = false;
  std::vector<At> worker_at;  // beside config.workers: where each stands
  std::vector<At> link_at;    // beside config.links
  std::map<std::string, std::size_t, std::less<>> worker_index;

  const WorkerConfig* find_worker(std::string_view name) const;
  std::uint64_t pairs_of(const LinkConfig&) const;  // of instances
  // `at` names a worker: reports and returns nullptr when there is none of that name.
  const WorkerConfig* resolve_worker(json_source::Position, const At&,
                                     const std::string& name) const;
};

// config_restart.cpp: what workers and defaults have alike, and groups in part.
void read_restart(const At&, Restart& into, bool limit_stated_in_defaults);
void read_stop(const At&, Stop& into);
void read_logs(const At&, const std::string& directory, Logs& into);

void read_limit(const At&, std::optional<RestartLimit>& into);
// The shortest time in which an instance can fail once more than `count` times, in ns: the back-off
// sets it, unless a worker is ready long enough between two failures for the back-off to begin anew.
double shortest_failures(const Backoff&, std::uint32_t count);

// config_groups.cpp: after the workers.
void read_groups(Draft&, const At&);

// config_kind.cpp
void read_kind(const ObjectAt& worker_section, WorkerConfig&);
void check_significance(const ObjectAt& worker_section, const WorkerConfig&);  // when all is read

// config_ready.cpp
void read_ready(const At&, Ready&);
void check_ready_fd(const ObjectAt& worker_section, const WorkerConfig&);  // when all is read

// config_worker.cpp
void read_workers(Draft&, const At&);

// config_links.cpp
void read_links(Draft&, const At&);
// One end of a link; `worker` is nullptr when it is unknown, and reported.
struct LinkEnd {
  At at;
  const WorkerConfig* worker;
};
std::optional<LinkEnd> read_link_end(const Draft&, const At&);

inline constexpr std::uint64_t history_max = 1'000'000;  // messages

// config_topics.cpp: what a topic has and a channel has not. `from` is known by then.
void read_topic_ends(Draft&, const ObjectAt& section, LinkConfig&);

// config_sockets.cpp: before the workers, which name them.
void read_sockets(Draft&, const At&);
void read_worker_sockets(const Draft&, const At&, WorkerConfig&);
// "HOST:PORT" or "[HOST]:PORT", numbers both. False, and told, when it is neither.
bool read_tcp(const At&, std::string_view text, std::string_view expected, SocketConfig&);
// Any port is another one for each.
bool same_place(const SocketConfig&, const SocketConfig&);

// config_http.cpp: where /metrics is served; after the sockets.
void read_http(Draft&, const ObjectAt& supervisor_section);

// config_checks.cpp: what only shows when all of it is known.
void check_dependencies(Draft&);
void check_services(Draft&);
void check_totals(Draft&);

// config_machine.cpp: what only this machine can say.
void check_machine(Draft&);
std::string find_executable(const std::string& program, const SystemConfig&, const ParseContext&,
                            std::string* problem);

// An absolute path: `path` as seen from `directory`.
std::string absolute_path(const std::string& directory, const std::string& path);

}  // namespace bulkhead::supervisor
