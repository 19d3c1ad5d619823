// `lab`: demonstrations that run the real thing and say what came of it. Used by command_line.cpp.
#pragma once

#include <CLI/App.hpp>
#include <functional>

#include "cli/outcome.hpp"

namespace bulkhead::cli {

void add_lab(CLI::App& app, std::function<Outcome()>& action);

}  // namespace bulkhead::cli
