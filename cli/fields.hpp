// Fields of an answer, read by who only shows them: one that is absent or of another type is no error.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bulkhead::cli {

std::string string_in(const nlohmann::json& object, const char* key);    // "" for no string
std::int64_t integer_in(const nlohmann::json& object, const char* key);  // 0 for no integer
double number_in(const nlohmann::json& object, const char* key);         // 0 for no number
std::string cell_in(const nlohmann::json& object, const char* key);  // of a table: "-" for nothing
const nlohmann::json& part_in(const nlohmann::json& object,
                              const char* key);  // null for nothing; borrowed

}  // namespace bulkhead::cli
