// The sections that a worker and "defaults" have alike: restart, stop, logs. Each overrides only the
// keys that it names.
#include <algorithm>
#include <cmath>

#include "base/units.hpp"
#include "supervisor/config_draft.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr Duration none{0}, day = 24h, month = 30 * day;

void read_backoff(const At& at, Backoff& into) {
  const ObjectAt section(at, config_keys::backoff, R"(expected {"initial": "100ms"})");
  if (const auto found = section.find("initial"))
    keep(into.initial, read_duration(*found, none, day));
  if (const auto found = section.find("max")) keep(into.max, read_duration(*found, none, day));
  if (const auto found = section.find("factor")) keep(into.factor, read_number(*found, 1, 100));
  if (const auto found = section.find("jitter")) keep(into.jitter, read_number(*found, 0, 1));
  if (const auto found = section.find("reset_after")) {
    keep(into.reset_after, read_duration(*found, none, month));
  }
  if (into.initial > into.max) {
    const auto where = section.find("max") ? section.find("max") : section.find("initial");
    if (where) {
      where->wrong("backoff.max \"" + base::format_duration(into.max) +
                   "\" is less than backoff.initial \"" + base::format_duration(into.initial) +
                   "\" (expected at least as much)");
    }
  }
}

// Only of a limit that the file states: nobody has to fit our default to a slow back-off of theirs.
void check_limit_can_trip(const ObjectAt& section, const Restart& restart,
                          bool stated_in_defaults) {
  const auto limit = section.find("limit");
  if (!restart.limit || (!limit && !stated_in_defaults)) return;
  if (restart.policy == RestartPolicy::never) {
    if (limit && section.has("policy")) {
      limit->wrong(
          "a limit that can never trip: with the policy \"never\" nothing is restarted (remove "
          "it)");
    }
    return;
  }
  if (restart.backoff.initial > restart.backoff.max) return;  // reported already
  const double shortest = shortest_failures(restart.backoff, restart.limit->count);
  if (shortest < static_cast<double>(restart.limit->within.count())) return;
  auto where = limit ? limit : section.find("backoff");
  if (!where) return;
  if (limit) {
    const auto* within = limit->value->find("within");
    if (within != nullptr) where = limit->member(*within);
  }
  // The advice is rounded up to a unit that reads well, so that following it is enough.
  const Duration unit = shortest >= 60e9  ? Duration(1min)
                        : shortest >= 1e9 ? Duration(1s)
                                          : Duration(1ms);
  const auto rounded = [&](Duration to, int up) {
    return base::format_duration(
        Duration((static_cast<std::int64_t>(shortest) / to.count() + up) * to.count()));
  };
  where->wrong("a limit that can never trip: with this backoff " +
               std::to_string(restart.limit->count) + " restarts take at least " + rounded(1ms, 0) +
               ", \"within\" is \"" + base::format_duration(restart.limit->within) +
               "\" (expected within \"" + rounded(unit, 1) +
               "\" or more, a smaller count, or limit \"none\")");
}

}  // namespace

double shortest_failures(const Backoff& backoff, std::uint32_t count) {
  const auto delay = [&](std::size_t attempt) {  // the core's next_delay, with the luckiest jitter
    if (attempt == 0) return 0.0;
    const double grown = static_cast<double>(backoff.initial.count()) *
                         std::pow(backoff.factor, static_cast<double>(attempt - 1));
    return std::min(grown, static_cast<double>(backoff.max.count())) * (1 - backoff.jitter);
  };
  std::vector<double> shortest{0};  // by attempt, of the failure that has just happened
  for (std::uint32_t gap = 0; gap < count; ++gap) {
    std::vector<double> next(shortest.size() + 1);
    double anew = shortest[0] + delay(0);
    for (std::size_t attempt = 0; attempt < shortest.size(); ++attempt) {
      next[attempt + 1] = shortest[attempt] + delay(attempt);
      anew = std::min(anew, next[attempt + 1]);
    }
    next[0] = anew + static_cast<double>(backoff.reset_after.count());
    shortest = std::move(next);
  }
  return *std::min_element(shortest.begin(), shortest.end());
}

void read_limit(const At& at, std::optional<RestartLimit>& into) {
  if (read_none(at, R"(expected {"count": 10, "within": "60s"} or "none")")) return into.reset();
  if (at.value->type != json_source::Value::Type::object) return;
  const ObjectAt section(at, config_keys::limit);
  if (!into) into.emplace();
  if (const auto found = section.find("count")) {
    if (const auto count = read_integer(*found, 1, restart_history_max)) {
      into->count = static_cast<std::uint32_t>(*count);
    }
  }
  if (const auto found = section.find("within"))
    keep(into->within, read_duration(*found, 1ms, month));
  if (const auto found = section.find("then")) {
    keep(into->then, read_enum(*found, config_keys::limit_then));
  }
}

void read_restart(const At& at, Restart& into, bool limit_stated_in_defaults) {
  const ObjectAt section(at, config_keys::restart, R"(expected {"policy": "always"})");
  if (const auto found = section.find("policy")) {
    keep(into.policy, read_enum(*found, config_keys::restart_policy));
  }
  if (const auto found = section.find("backoff")) read_backoff(*found, into.backoff);
  if (const auto found = section.find("limit")) read_limit(*found, into.limit);
  check_limit_can_trip(section, into, limit_stated_in_defaults);
}

void read_stop(const At& at, Stop& into) {
  const ObjectAt section(at, config_keys::stop, R"(expected {"timeout": "5s"})");
  if (const auto found = section.find("signal"))
    keep(into.signal, read_enum(*found, config_keys::stop_signal));
  if (const auto found = section.find("timeout"))
    keep(into.timeout, read_duration(*found, none, day));
}

void read_logs(const At& at, const std::string& directory, Logs& into) {
  const ObjectAt section(at, config_keys::logs, R"(expected {"max_size": "16MiB"})");
  if (const auto found = section.find("directory")) {
    const auto text = read_text(*found);
    if (text && text->empty())
      found->wrong("\"\" is no directory (expected a path, or leave it out)");
    if (text && !text->empty()) into.directory = absolute_path(directory, *text);
  }
  if (const auto found = section.find("max_size")) {
    keep(into.max_size, read_size(*found, 4096, std::uint64_t{1} << 40));
  }
  if (const auto found = section.find("keep")) {
    if (const auto count = read_integer(*found, 1, 1000))
      into.keep = static_cast<std::uint32_t>(*count);
  }
  if (const auto found = section.find("overflow")) {
    keep(into.overflow, read_enum(*found, config_keys::log_overflow));
  }
}

}  // namespace bulkhead::supervisor
