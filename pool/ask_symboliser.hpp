// Asks bulkhead-symboliser, a program of its own, what stands at places of programs. Used by the command line for workers,
// and by pools for theirs.
#pragma once

#include <bulkhead/error.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace bulkhead::pool {

// {"modules": [{"path", "build_id", "offsets": [...]}]} becomes {"modules": [{"places": [[{"function", "file", "line",
// "inlined"}]]} or {"error"}]}, in the same order. Blocking: until it has answered, a minute at the most.
// Errors: remote_error when it fails or answers with anything else; exec_failed.
Result<nlohmann::json> ask_symboliser(const std::string& program, const nlohmann::json& question);

}  // namespace bulkhead::pool
