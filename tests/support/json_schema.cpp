// Keyword by keyword; every one that applies must hold.
#include "tests/support/json_schema.hpp"

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <stdexcept>

namespace bulkhead::test {
namespace {

using Json = nlohmann::json;

bool is_type(const std::string& type, const Json& value) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "number") return value.is_number();
  if (type == "integer") {
    return value.is_number_integer() ||
           (value.is_number_float() &&
            value.get<double>() == static_cast<double>(value.get<std::int64_t>()));
  }
  throw std::logic_error("unknown type " + type);
}

bool matches(const std::string& text, const std::string& pattern) {
  static std::map<std::string, std::regex> known;  // compiling one takes longer than all else here
  const auto compiled = known.try_emplace(pattern, pattern, std::regex::ECMAScript).first;
  return std::regex_search(text, compiled->second);
}

}  // namespace

bool JsonSchema::accepts(const Json& schema, const Json& value) const {
  for (const auto& [name, argument] : schema.items()) {
    if (!keyword(schema, name, value)) return false;
  }
  return true;
}

bool JsonSchema::keyword(const Json& schema, const std::string& name, const Json& value) const {
  static const std::set<std::string> notes{"$schema", "title",    "description",
                                           "default", "examples", "$defs"};
  const Json& argument = schema.at(name);
  if (notes.contains(name)) return true;
  if (name == "$ref") {
    return accepts(root_.at(Json::json_pointer(argument.get<std::string>().substr(1))), value);
  }
  if (name == "type") return is_type(argument, value);
  if (name == "const") return value == argument;
  if (name == "enum") return std::find(argument.begin(), argument.end(), value) != argument.end();
  if (name == "anyOf") {
    return std::any_of(argument.begin(), argument.end(),
                       [&](const Json& one) { return accepts(one, value); });
  }
  if (name == "minimum") return !value.is_number() || value >= argument;
  if (name == "maximum") return !value.is_number() || value <= argument;
  if (name == "pattern") return !value.is_string() || matches(value, argument);
  if (name == "minLength") return !value.is_string() || value.get<std::string>().size() >= argument;
  if (name == "items" || name == "minItems" || name == "uniqueItems")
    return array_keyword(schema, name, value);
  return object_keyword(schema, name, value);
}

bool JsonSchema::array_keyword(const Json& schema, const std::string& name,
                               const Json& value) const {
  if (!value.is_array()) return true;
  if (name == "minItems") return value.size() >= schema.at(name);
  if (name == "uniqueItems")
    return std::set<Json>(value.begin(), value.end()).size() == value.size();
  return std::all_of(value.begin(), value.end(),
                     [&](const Json& one) { return accepts(schema.at(name), one); });
}

bool JsonSchema::object_keyword(const Json& schema, const std::string& name,
                                const Json& value) const {
  static const std::set<std::string> with_additional{"properties", "patternProperties",
                                                     "additionalProperties"};
  const Json& argument = schema.at(name);
  const auto has = [&](const Json& key) { return value.contains(key.get<std::string>()); };
  if (!value.is_object()) return true;
  if (with_additional.contains(name)) return accepts_members(schema, value);
  if (name == "required") return std::all_of(argument.begin(), argument.end(), has);
  if (name == "minProperties") return value.size() >= argument;
  for (const auto& [key, member] : value.items()) {
    if (name == "propertyNames") {
      if (!accepts(argument, key)) return false;
    } else if (name == "dependentRequired") {
      if (argument.contains(key) && !std::all_of(argument[key].begin(), argument[key].end(), has))
        return false;
    } else {
      throw std::logic_error("unknown keyword " + name);
    }
  }
  return true;
}

bool JsonSchema::accepts_members(const Json& schema, const Json& value) const {
  const Json patterns = schema.value("patternProperties", Json::object());
  for (const auto& [key, member] : value.items()) {
    bool known = false;
    if (schema.contains("properties") && schema["properties"].contains(key)) {
      known = true;
      if (!accepts(schema["properties"][key], member)) return false;
    }
    for (const auto& [pattern, rule] : patterns.items()) {
      if (!matches(key, pattern)) continue;
      known = true;
      if (!accepts(rule, member)) return false;
    }
    if (known || !schema.contains("additionalProperties")) continue;
    const Json& rest = schema["additionalProperties"];
    if (rest.is_boolean() ? !rest.get<bool>() : !accepts(rest, member)) return false;
  }
  return true;
}

}  // namespace bulkhead::test
