// As much of JSON Schema (draft 2020-12) as configs/schema.json uses, so that a test can hold the schema
// against the parser. A keyword that it does not know throws: no part of the schema goes unchecked.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace bulkhead::test {

class JsonSchema {
 public:
  explicit JsonSchema(nlohmann::json root) : root_(std::move(root)) {}

  bool accepts(const nlohmann::json& value) const { return accepts(root_, value); }
  bool accepts(const nlohmann::json& schema, const nlohmann::json& value) const;
  const nlohmann::json& root() const { return root_; }

 private:
  bool keyword(const nlohmann::json& schema, const std::string& name,
               const nlohmann::json& value) const;
  bool object_keyword(const nlohmann::json& schema, const std::string& name,
                      const nlohmann::json& value) const;
  bool array_keyword(const nlohmann::json& schema, const std::string& name,
                     const nlohmann::json& value) const;
  bool accepts_members(const nlohmann::json& schema, const nlohmann::json& value) const;

  nlohmann::json root_;
};

}  // namespace bulkhead::test
