// `incidents`: each death that nobody asked for, with its report and its recovery; and `why`.
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/backtrace.hpp"
#include "cli/commands.hpp"
#include "cli/event_text.hpp"
#include "cli/incident_text.hpp"
#include "cli/system.hpp"
#include "cli/terminal.hpp"

namespace bulkhead::cli {

using nlohmann::json;

Outcome incidents(const SystemChoice& choice, const IncidentsOptions& options) {
  auto system = reach(choice);
  if (!system) return complain(system.error());
  auto all = all_incidents(*system);
  if (!all) return complain(all.error());
  name_frames(*all);
  const json recovery = recovery_by_cause(*all);
  if (options.json) {
    const json answer{{"incidents", std::move(*all)}, {"recovery", recovery}};
    std::printf("%s\n", answer.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    return Outcome::done;
  }
  const bool colours = colours_wanted(STDOUT_FILENO);
  const auto text = incident_groups(*all, realtime_minus_monotonic_ns(), colours);
  std::printf("%s%s", text.empty() ? "no worker has died unasked\n" : text.c_str(),
              recovery_table(recovery, colours).c_str());
  return Outcome::done;
}

Outcome why(const SystemChoice& choice, const std::string& name) {
  auto system = reach(choice);
  if (!system) return complain(system.error());
  const auto answer = system->request("why", {{"name", name}}, Deadline::in(answer_timeout));
  if (!answer) return complain(answer.error());
  for (const auto& reason : answer->at("why")) {
    std::printf("%s\n", printable(reason.value("text", "")).c_str());
  }
  return Outcome::done;
}

}  // namespace bulkhead::cli
