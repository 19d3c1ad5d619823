// What the crash worker can be told to do wrong. Used by its two halves, crash.cpp and crash_calls.cpp.
#pragma once

#include <bulkhead/worker.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace bulkhead::workers {

struct Crash {
  std::string mode;
  std::chrono::nanoseconds after = std::chrono::seconds(3);
  std::uint64_t code = 3;
};

using Disaster = Result<void> (*)(Worker&, const Crash&);

// By mode: calls that a strict sandbox refuses.
const std::map<std::string, Disaster>& forbidden_calls();

}  // namespace bulkhead::workers
