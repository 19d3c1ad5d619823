#include "cli/outcome.hpp"

#include <cerrno>
#include <cstdio>
#include <string>

namespace bulkhead::cli {

Outcome outcome_of(const Error& error) noexcept {
  if (error.is(Errc::no_system)) return Outcome::no_system;
  if (error.is(Errc::not_permitted)) return Outcome::not_permitted;
  if (error.is(Errc::bad_config)) return Outcome::bad_config;
  if (error.is(Errc::invalid_argument)) return Outcome::usage;
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

std::string sentence_of(const Error& error) {
  // The context of these says it all; of others the code is half of the sentence.
  const bool whole = error.is(Errc::no_system) || error.is(Errc::invalid_argument) ||
                     error.is(Errc::already_exists) || error.is(Errc::exec_failed);
  return whole && !error.context.empty() ? error.context : error.to_string();
}

Outcome complain(const Error& error) { return complain(outcome_of(error), sentence_of(error)); }

}  // namespace bulkhead::cli
