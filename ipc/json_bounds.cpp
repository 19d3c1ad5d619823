#include "ipc/json_bounds.hpp"

#include <string>

namespace bulkhead::ipc {
namespace {

// Counts brackets outside of strings. A text that is not JSON may be counted wrongly; the parser
// refuses it afterwards, and does not recurse itself.
std::size_t depth_of_text(std::string_view text) noexcept {
  std::size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > deepest) deepest = depth;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

bool nests_at_most(const nlohmann::json& value, std::size_t depth) noexcept {
  if (!value.is_structured()) return true;
  if (depth == 0) return false;
  for (const auto& element : value) {
    if (!nests_at_most(element, depth - 1)) return false;
  }
  return true;
}

Result<nlohmann::json> parse_bounded(std::string_view text) {
  if (depth_of_text(text) > json_depth_max) {
    return make_error(Errc::protocol_violation,
                      "JSON nested deeper than " + std::to_string(json_depth_max));
  }
  auto value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return make_error(Errc::protocol_violation, "bytes that are not JSON");
  return value;
}

}  // namespace bulkhead::ipc
