#include "supervisor/web_tally.hpp"

#include <nlohmann/json.hpp>

namespace bulkhead::supervisor {
namespace {

using nlohmann::json;

// True: it goes on from another place. One that says the same number again would be asked for ever.
bool moved_on(const json& answer, std::uint64_t& next) {
  const auto now = answer.value("next", next);
  if (now <= next) return false;
  next = now;
  return !answer.value("complete", true);
}

}  // namespace

const json& list_in(const json& answer, const char* key) {
  static const json none = json::array();
  const auto found = answer.find(key);
  return found != answer.end() && found->is_array() ? *found : none;
}

void Recoveries::add(double seconds) {
  ++count;
  sum_s += seconds;
  for (std::size_t i = 0; i < bounds_s.size(); ++i) {
    if (seconds > bounds_s[i]) continue;
    ++counts[i];
    return;
  }
}

bool WebTally::add_events(const json& answer) {
  events_missed += answer.value("gap", std::uint64_t{0});
  for (const auto& event : list_in(answer, "events")) {
    const std::string type = event.value("type", "");
    ++events[type];
    if (type != "incident.closed") continue;
    recoveries[event.value("cause", "")].add(event.value("ready_us", 0.0) / 1e6);
  }
  return moved_on(answer, next_event);
}

bool WebTally::add_incidents(const json& answer) {
  for (const auto& incident : list_in(answer, "incidents"))
    ++incidents[incident.value("cause", "")];
  return moved_on(answer, next_incident);
}

}  // namespace bulkhead::supervisor
