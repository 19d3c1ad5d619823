// Parsing configs in tests: the config, or a failure that shows what was wrong with it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "supervisor/config.hpp"

namespace bulkhead::test {

inline std::string issues_in(const supervisor::ParsedConfig& parsed) {
  std::string lines;
  if (const auto* issues = std::get_if<std::vector<supervisor::ConfigIssue>>(&parsed)) {
    for (const auto& issue : *issues) lines += supervisor::format_issue("config", issue) + "\n";
  }
  return lines;
}

// What parse_config makes of it without a look at the machine; an empty config when it has errors.
inline supervisor::SystemConfig parsed(const std::string& text,
                                       const std::string& path = "/etc/demo/config.json") {
  auto result = supervisor::parse_config(text, path, {"/opt/bulkhead/bin", false});
  if (auto* config = std::get_if<supervisor::SystemConfig>(&result)) return std::move(*config);
  ADD_FAILURE() << issues_in(result) << "in\n" << text;
  return {};
}

// A system with one worker "a" that has these keys besides its command.
inline std::string one_worker(const std::string& keys, const std::string& rest = "") {
  return R"({"version": 1, "name": "t", "workers": {"a": {"command": ["/bin/true"])" +
         (keys.empty() ? "" : ", " + keys) + "}}" + (rest.empty() ? "" : ", " + rest) + "}";
}

}  // namespace bulkhead::test
