// A topic's row of `status --json`: what the end pages of its publisher and its subscribers say. Used by the
// introducer; the figures are untrusted and sent nowhere but to people.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>

#include "supervisor/config.hpp"
#include "supervisor/core.hpp"
#include "supervisor/pair.hpp"

namespace bulkhead::supervisor {

// `pairs`: all of one topic, one at least.
nlohmann::json topic_row(const LinkConfig&, const Plan&, std::span<const Pair> pairs);

}  // namespace bulkhead::supervisor
