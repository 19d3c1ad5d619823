#include "cli/outcome.hpp"

#include <cerrno>
#include <cstdio>
#include <string>

namespace bulkhead::cli {

Outcome outcome_of(const Error& error) noexcept {
  if (error.is(Errc::no_system)) return Outcome::no_system;
  if (error.is(Errc::not_permitted)) return Outcome::not_permitted;
  if (error.is(Errc::bad_config)) return Outcome::bad_config;
  if (error.code == boost::system::errc::permission_denied ||
      error.code == boost::system::errc::operation_not_permitted) {
    return Outcome::not_permitted;
  }
  return Outcome::failed;
}

Outcome complain(Outcome outcome, std::string_view sentence) {
  std::string line = "bulkhead: ";
  for (const char c : sentence) line += c == '\n' || c == '\r' ? ' ' : c;
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
  return outcome;
}

Outcome complain(const Error& error) { return complain(outcome_of(error), error.to_string()); }

}  // namespace bulkhead::cli
