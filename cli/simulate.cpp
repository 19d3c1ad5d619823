// `simulate`: the timeline of what the supervisor would decide.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/config_commands.hpp"
#include "cli/event_text.hpp"
#include "cli/terminal.hpp"
#include "supervisor/exit_json.hpp"
#include "supervisor/simulation.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using supervisor::SimulatedEvent;
using supervisor::TimeNs;

constexpr std::chrono::seconds aftermath{60};  // shown of what follows the script's last word

// "0:01:02.003": as long as it takes, always as wide.
std::string clock_text(TimeNs at) {
  const std::uint64_t ms = at / 1'000'000;
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%3llu:%02llu:%02llu.%03llu",
                static_cast<unsigned long long>(ms / 3'600'000),
                static_cast<unsigned long long>(ms / 60'000 % 60),
                static_cast<unsigned long long>(ms / 1000 % 60),
                static_cast<unsigned long long>(ms % 1000));
  return text.data();
}

class Timeline {
 public:
  Timeline(const supervisor::Plan& plan, bool as_json)
      : plan_(plan), as_json_(as_json), colours_(!as_json && colours_wanted(STDOUT_FILENO)) {
    for (const auto& instance : plan.instances) width_ = std::max(width_, instance.name.size());
  }

  void tell(const SimulatedEvent& event) { as_json_ ? print_json(event) : print_line(event); }
  void end(const supervisor::Simulation&);

 private:
  std::string name(const SimulatedEvent& event) const {
    return event.slot == SimulatedEvent::no_slot ? "" : plan_.instances[event.slot].name;
  }
  void print_json(const SimulatedEvent&);
  void print_line(const SimulatedEvent&);
  void print(TimeNs at, const std::string& name, const std::string& words, Colour) const;
  void end_json(const supervisor::Simulation&);

  const supervisor::Plan& plan_;
  bool as_json_, colours_;
  std::size_t width_ = 6;
  std::uint64_t sequence_ = 0;
};

void Timeline::print_json(const SimulatedEvent& event) {
  json line{{"seq", ++sequence_},  {"t_ns", event.at}, {"type", event.type},
            {"name", name(event)}, {"pid", event.pid}, {"generation", event.generation}};
  if (const auto exit = supervisor::render_exit(event.cause); !exit.is_null()) line["exit"] = exit;
  if (event.until != 0) line["until_ns"] = event.until;
  if (!event.text.empty()) line["text"] = event.text;
  std::printf("%s\n", line.dump().c_str());
}

void Timeline::print(TimeNs at, const std::string& name, const std::string& words,
                     Colour colour) const {
  const std::string gap(width_ - std::min(width_, name.size()) + 2, ' ');
  std::printf("%s  %s%s%s\n", painted(clock_text(at), Colour::dim, colours_).c_str(), name.c_str(),
              gap.c_str(), painted(printable(words), colour, colours_).c_str());
}

void Timeline::print_line(const SimulatedEvent& event) {
  const std::string because = event.text.empty() ? "" : ": " + event.text;
  const auto say = [&](const std::string& words, Colour colour) {
    print(event.at, name(event), words, colour);
  };
  if (event.type == "script") return say("> " + event.text, Colour::bold);
  if (event.type == "script.idle") return say("> " + event.text, Colour::dim);
  const std::string state = event.type.substr(event.type.find('.') + 1);
  if (state == "exited") {
    const bool well = event.cause.kind == supervisor::ExitKind::exit && event.cause.code == 0;
    const std::string how = exit_text(supervisor::render_exit(event.cause));
    return say((well ? "ended, " : "died, ") + how, well ? Colour::plain : Colour::red);
  }
  if (state == "backoff") {
    const std::chrono::nanoseconds wait(event.until - event.at);
    return say("starts again in " + span_text(wait) + because, Colour::yellow);
  }
  if (state == "failed") return say("failed" + because, Colour::red);
  say(state + because, state == "ready" ? Colour::green : Colour::dim);
}

void Timeline::end_json(const supervisor::Simulation& simulation) {
  const auto& state = simulation.state();
  auto workers = json::array();
  for (supervisor::Slot slot = 0; slot < plan_.instances.size(); ++slot) {
    workers.push_back({{"name", plan_.instances[slot].name},
                       {"state", to_string(state.instances[slot].status)},
                       {"restarts", state.instances[slot].restarts},
                       {"reason", simulation.reason(slot)}});
  }
  const json line{{"seq", ++sequence_},
                  {"t_ns", simulation.elapsed()},
                  {"type", "simulation.end"},
                  {"finished", state.finished},
                  {"exit_code", state.finished ? json(state.exit_code) : json()},
                  {"workers", std::move(workers)}};
  std::printf("%s\n", line.dump().c_str());
}

void Timeline::end(const supervisor::Simulation& simulation) {
  if (as_json_) return end_json(simulation);
  const auto& state = simulation.state();
  const TimeNs at = simulation.elapsed();
  if (state.finished) {
    return print(at, "system", "over, exit code " + std::to_string(state.exit_code), Colour::bold);
  }
  print(at, "system", "the timeline ends here", Colour::bold);
  for (supervisor::Slot slot = 0; slot < plan_.instances.size(); ++slot) {
    const auto& instance = state.instances[slot];
    const std::string restarts = instance.restarts == 0 ? ""
                                 : instance.restarts == 1
                                     ? ", 1 restart"
                                     : ", " + std::to_string(instance.restarts) + " restarts";
    print(at, plan_.instances[slot].name,
          std::string(to_string(instance.status)) + restarts + ": " + simulation.reason(slot),
          Colour::plain);
  }
}

}  // namespace

Outcome simulate(const SimulateOptions& options) {
  const auto config = read_config(options.config, false);
  if (const auto* outcome = std::get_if<Outcome>(&config)) return *outcome;
  const auto& system = std::get<CheckedConfig>(config).system;
  const auto plan = supervisor::make_plan(system);
  const auto script = supervisor::read_script(plan, options.script);
  if (!script) return complain(Outcome::usage, script.error().context);
  supervisor::Duration length = script->last + aftermath;
  if (!options.length.empty()) {
    const auto stated = base::parse_duration(options.length);
    if (!stated) return complain(Outcome::usage, "--for: " + stated.error().context);
    length = *stated;
  }
  Timeline timeline(plan, options.json);
  supervisor::Simulation simulation(
      system, plan, *script, options.seed,
      [&timeline](const SimulatedEvent& event) { timeline.tell(event); });
  simulation.run(length);
  timeline.end(simulation);
  return Outcome::done;
}

}  // namespace bulkhead::cli
