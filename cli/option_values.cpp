#include "cli/option_values.hpp"

namespace bulkhead::cli {

// CLI11 would take -1 for the largest number there is.
std::string whole_number(const std::string& text) {
  constexpr std::size_t digits_max = 19;  // less than 2^64 whatever they are
  const bool is_number = !text.empty() && text.size() <= digits_max &&
                         text.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? "" : text + " is no number (expected 0, 1, 2 and so on)";
}

std::string not_empty(const std::string& text) {
  return text.empty() ? "needs a value that is not empty" : "";
}

}  // namespace bulkhead::cli
