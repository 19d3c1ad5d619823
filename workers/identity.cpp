#include "workers/identity.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace bulkhead::workers {
namespace {

Result<void> set(const std::string& name, const std::string& value) {
  if (::setenv(name.c_str(), value.c_str(), 1) != 0) return errno_error(errno, "set " + name);
  return {};
}

}  // namespace

// The cookie is for what it starts: that descends from the instance, and goes with it.
Result<void> take_identity(const ipc::HelloAnswer& answer, const base::UniqueFd& output) {
  const auto equals = answer.cookie.find('=');
  if (equals == std::string::npos) {
    return make_error(Errc::protocol_violation, "a cookie without a name: " + answer.cookie);
  }
  const std::pair<std::string, std::string> variables[] = {
      {"BULKHEAD_NAME", answer.name},
      {"BULKHEAD_WORKER", answer.worker},
      {"BULKHEAD_INDEX", std::to_string(answer.index)},
      {"BULKHEAD_GENERATION", std::to_string(answer.generation)},
      {answer.cookie.substr(0, equals), answer.cookie.substr(equals + 1)}};
  for (const auto& [name, value] : variables) {
    if (auto done = set(name, value); !done) return done;
  }
  std::fflush(nullptr);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(output.get(), stream) < 0) return errno_error(errno, "redirect the output");
  }
  return {};
}

}  // namespace bulkhead::workers
