#include "cli/fields.hpp"

#include <nlohmann/json.hpp>

namespace bulkhead::cli {

using nlohmann::json;

const json& part_in(const json& object, const char* key) {
  static const json nothing;
  const auto found = object.find(key);
  return found != object.end() ? *found : nothing;
}

std::string string_in(const json& object, const char* key) {
  const json& part = part_in(object, key);
  return part.is_string() ? part.get<std::string>() : std::string();
}

std::int64_t integer_in(const json& object, const char* key) {
  const json& part = part_in(object, key);
  return part.is_number_integer() ? part.get<std::int64_t>() : 0;
}

double number_in(const json& object, const char* key) {
  const json& part = part_in(object, key);
  return part.is_number() ? part.get<double>() : 0;
}

std::string cell_in(const json& object, const char* key) {
  const json& part = part_in(object, key);
  if (part.is_null()) return "-";
  return part.is_string() ? part.get<std::string>() : part.dump();
}

}  // namespace bulkhead::cli
