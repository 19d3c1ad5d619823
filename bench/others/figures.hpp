// The file of figures that programs read. Used by race_main.cpp and by the mains of pools/ and
// supervisors/.
#pragma once

#include <bulkhead/error.hpp>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bulkhead::bench::others {

// Before a measurement, which takes minutes. "" is nowhere, and fine.
Result<void> expect_writable(const std::string& path);

// {"machine": …, "rows": […]}
Result<void> write_figures(const std::string& path, const nlohmann::json& rows);

}  // namespace bulkhead::bench::others
