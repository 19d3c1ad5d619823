#include "supervisor/expansion.hpp"

#include <cstdlib>

namespace bulkhead::supervisor {

Result<std::string> expand(std::string_view text, std::uint32_t index) {
  std::string expanded;
  while (!text.empty()) {
    const auto start = text.find("${");
    expanded += text.substr(0, start);
    if (start == text.npos) break;
    text.remove_prefix(start + 2);
    const auto end = text.find('}');
    if (end == text.npos) return make_error(Errc::bad_config, "${ without }");
    const auto name = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (name == "index") {
      expanded += std::to_string(index);
    } else if (name.starts_with("env:")) {
      const std::string variable(name.substr(4));
      const char* value = std::getenv(variable.c_str());
      if (value == nullptr) {
        return make_error(Errc::bad_config, "environment variable " + variable + " is not set");
      }
      expanded += value;
    } else {
      return make_error(Errc::bad_config,
                        "unknown ${" + std::string(name) + "} (known: ${index}, ${env:NAME})");
    }
  }
  return expanded;
}

}  // namespace bulkhead::supervisor
