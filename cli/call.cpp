// `call`: an RPC from the shell.
#include <cstdio>

#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/system.hpp"

namespace bulkhead::cli {

Outcome call(const SystemChoice& choice, const CallOptions& options) {
  const auto request = nlohmann::json::parse(options.request, nullptr, false);
  if (request.is_discarded()) {
    return complain(Outcome::usage, "the request " + options.request +
                                        " is not JSON (quote it for the shell: '[1,2]')");
  }
  const auto timeout = base::parse_duration(options.timeout);
  if (!timeout) return complain(Outcome::usage, "--timeout: " + timeout.error().to_string());
  auto system = reach(choice);
  if (!system) return complain(system.error());
  auto client = system->client(options.service);
  const auto answer = client.call_json(options.method, request, Deadline::in(*timeout));
  if (!answer) return complain(answer.error());
  std::printf("%s\n", answer->dump().c_str());
  return Outcome::done;
}

}  // namespace bulkhead::cli
