// What becomes of a running system when another config is put in force: worker by worker and link by link,
// with the reasons. Pure: used by `plan`, which shows it, and by `reload`, which does it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/config.hpp"

namespace bulkhead::supervisor {

// One key whose value differs, as JSON text; "" where the key is absent.
struct KeyChange {
  std::string key;  // RFC 6901, from the worker or link on: "/env/LANG"
  std::string was, is;
  bool operator==(const KeyChange&) const = default;
};

enum class WorkerFate : std::uint8_t { unchanged, changed, restarted, added, removed };
std::string_view to_string(WorkerFate) noexcept;

struct WorkerDiff {
  std::string name;
  WorkerFate fate = WorkerFate::unchanged;
  std::uint32_t was_instances = 0, instances = 0;
  std::vector<KeyChange> restarts_for;  // only a new process sees these
  std::vector<KeyChange> in_place;      // hold from the reload on
  std::vector<std::string>
      given;  // why the links or sockets that it is given at its start are others
  // All that share a link whose memory cannot be taken over stop before any of them starts.
  bool together = false;
};

enum class LinkFate : std::uint8_t { unchanged, changed, added, removed };
std::string_view to_string(LinkFate) noexcept;

struct LinkDiff {
  std::string name;
  LinkFate fate = LinkFate::unchanged;
  std::vector<KeyChange> keys;
  bool discards = false;  // what is undelivered on it cannot be taken over, and is let go
};

struct ConfigDiff {
  std::vector<WorkerDiff> workers;  // in the new config's order, the removed ones last
  std::vector<LinkDiff> links;      // likewise
  std::vector<LinkDiff> sockets;    // likewise; what waits in one that goes is refused
  std::vector<KeyChange> system;    // in place

  bool empty() const noexcept;
  const WorkerDiff* worker(std::string_view name) const noexcept;
};

// Both with the number of instances that is, or is to be, in force.
ConfigDiff diff_configs(const SystemConfig& was, const SystemConfig& is);

// "1 added, 2 restarted"; "nothing changes".
std::string summary(const ConfigDiff&);
nlohmann::json diff_json(const ConfigDiff&);  // of `plan --json`

}  // namespace bulkhead::supervisor
