// One part of the benchmark in a process of its own, with iceoryx's daemon beside it: the libraries keep threads
// and state that no fork survives. Used by report.cpp; knows no figure.
#pragma once

#include <bulkhead/error.hpp>
#include <functional>
#include <nlohmann/json.hpp>

namespace bulkhead::bench::others {

// The child ends by _exit: no library's farewell delays or disturbs what follows. It and whom it forked are killed
// when this process goes.
// Errors: unsupported with what `measure` reports; peer_died when the child did.
Result<nlohmann::json> run_apart(const std::function<Result<nlohmann::json>()>& measure);

}  // namespace bulkhead::bench::others
