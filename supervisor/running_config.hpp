// What is in force: the config's text, what `scale` made of it, who is leaving, and who still has to start
// again. One text in one sealed memory file in the keeper's store, which is replaced as a whole: whoever begins
// finds the old or the new, never a mixture (docs/design/reload.md).
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/config.hpp"
#include "supervisor/seats.hpp"

namespace bulkhead::supervisor {

inline constexpr const char* running_config_tag = "config/running";

struct ConfigVersion {
  std::string path, text;
  std::map<std::string, std::uint32_t> scaled;  // by worker: instances instead of the text's
};

// Instances of the version before, on their way out.
struct Leaving {
  std::string worker;
  std::uint32_t first = 0, count = 0;
};

struct RunningConfig {
  std::uint64_t serial = 1;    // counts reloads and scales: what config.reloaded tells
  std::uint64_t revision = 1;  // counts all changes of this record that another brain has to see
  ConfigVersion now;
  std::optional<ConfigVersion> before;  // while some of it are leaving
  std::vector<Leaving> leaving;
  Seats seats;  // empty: by position, as at the start
  // Instances to be replaced, with the last generation that will not do. `rolling`: one by one;
  // `together`: all of them stop before one starts, and what lies on the links in `emptied` goes then.
  std::map<std::string, std::uint32_t> rolling, together;
  std::vector<std::string> emptied;
  std::vector<std::string> touched;  // instances that the reload is over with when they are ready
  std::uint64_t operation = 0;       // who asked for it; 0: nobody who would ask again
  std::string summary;
};

std::string to_text(const RunningConfig&);
Result<RunningConfig> read_running_config(const std::string& text, const std::string& path);

// The config of a version, with the number of instances that is in force. Errors: bad_config.
Result<SystemConfig> parse_version(const ConfigVersion&, const std::string& program_directory);

// What a brain works with: the version in force, followed by who is leaving, as workers of their own.
Result<SystemConfig> assemble(const RunningConfig&, const std::string& program_directory);

}  // namespace bulkhead::supervisor
