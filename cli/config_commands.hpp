// A config as the command line reads it: every error printed, or the text and what it means. Used by
// run, check, defaults and simulate.
#pragma once

#include <string>
#include <variant>

#include "cli/outcome.hpp"
#include "supervisor/config.hpp"

namespace bulkhead::cli {

struct CheckedConfig {
  std::string text;
  supervisor::SystemConfig system;
};

// The outcome when it cannot be read or has errors, which are printed then. `for_this_machine`: also that its
// programs, directories and users are there.
std::variant<CheckedConfig, Outcome> read_config(const std::string& path,
                                                 bool for_this_machine = true);

}  // namespace bulkhead::cli
