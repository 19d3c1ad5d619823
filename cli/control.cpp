// `kill`, `stop`, `start`, `restart`, `shutdown`: the commands that change something.
#include <poll.h>
#include <strings.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "cli/commands.hpp"
#include "cli/system.hpp"
#include "cli/terminal.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;

// "SIGTERM", "TERM", "term" or "15".
std::optional<int> parse_signal(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) {
    return number > 0 && number < NSIG ? std::optional(number) : std::nullopt;
  }
  std::string name(text);
  if (::strncasecmp(name.c_str(), "SIG", 3) == 0) name.erase(0, 3);
  for (int signal = 1; signal < NSIG; ++signal) {
    const char* known = ::sigabbrev_np(signal);
    if (known != nullptr && ::strcasecmp(known, name.c_str()) == 0) return signal;
  }
  return std::nullopt;
}

// "echo.0, echo.1" out of an answer's list of names.
std::string name_list(const json& answer, const char* key) {
  std::string list;
  const auto names = answer.find(key);
  if (names == answer.end() || !names->is_array()) return list;
  for (const auto& name : *names) {
    if (name.is_string()) list += (list.empty() ? "" : ", ") + name.get<std::string>();
  }
  return list;
}

// Returns when the state is reached: as long as that takes, since the worker's own stop timeout
// and the supervisor's SIGKILL behind it bound it.
Outcome change(const SystemChoice& choice, const char* method, const std::string& name,
               const char* done) {
  auto system = reach(choice);
  if (!system) return complain(system.error());
  const auto answer = system->request(method, {{"name", name}});
  if (!answer) return complain(answer.error());
  std::printf("%s %s\n", name_list(*answer, "names").c_str(), done);
  return Outcome::done;
}

}  // namespace

Outcome kill(const SystemChoice& choice, const KillOptions& options) {
  const auto signal = parse_signal(options.signal);
  if (!signal) {
    return complain(Outcome::usage, "there is no signal \"" + options.signal +
                                        "\" (write SIGTERM, TERM or 15; kill -l lists them)");
  }
  auto system = reach(choice);
  if (!system) return complain(system.error());
  json params{{"name", options.name}, {"signal", *signal}};
  params["t0_ns"] = base::monotonic_ns();  // the recovery is measured from here
  const auto answer = system->request("kill", std::move(params), Deadline::in(answer_timeout));
  if (!answer) return complain(answer.error());
  std::printf("%s sent to %s\n", signal_text(*signal).c_str(),
              name_list(*answer, "killed").c_str());
  return Outcome::done;
}

Outcome stop(const SystemChoice& choice, const std::string& name) {
  return change(choice, "stop", name, "stopped");
}

Outcome start(const SystemChoice& choice, const std::string& name) {
  return change(choice, "start", name, "started");
}

Outcome restart(const SystemChoice& choice, const std::string& name) {
  return change(choice, "restart", name, "restarted");
}

Outcome shutdown(const SystemChoice& choice) {
  auto system = reach(choice);
  if (!system) return complain(system.error());
  const std::string name = system->system().name;
  const auto keeper = base::open_pidfd(system->system().keeper_pid);
  const auto answer = system->request("shutdown", json::object());
  // Somebody else's shutdown may have been faster: what counts is that it is gone.
  if (!answer && !answer.error().is(Errc::no_system)) return complain(answer.error());
  // The brain answers while it still lives; the keeper is the last to go.
  if (keeper) {
    pollfd end{keeper->get(), POLLIN, 0};
    while (::poll(&end, 1, -1) < 0 && errno == EINTR) continue;
  }
  std::printf("%s is down\n", name.c_str());
  return Outcome::done;
}

}  // namespace bulkhead::cli
