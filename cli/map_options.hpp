// The command line of `map`, whose last part belongs to somebody else. Used by command_line.cpp.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>
#include <vector>

#include "cli/outcome.hpp"

namespace bulkhead::cli {

// What stands behind `--` of `bulkhead map`, which leaves argv: CLI11 has meanings of its own for `{}` and `[a]`.
// Without a `--`: nothing.
std::vector<std::string> take_map_command(int& argc, char** argv);

void add_map(CLI::App& app, std::function<Outcome()>& action, std::vector<std::string> command);

}  // namespace bulkhead::cli
