// `status`: the tables of workers and links.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/event_text.hpp"
#include "cli/system.hpp"
#include "cli/terminal.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using Align = Table::Align;

// A field as text; "-" for what is missing or null.
std::string text(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "-";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

double number(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

std::string seconds(const json& object, const char* key) {
  const double value = number(object, key);
  return value <= 0 ? "-" : span_text(std::chrono::nanoseconds(std::int64_t(value * 1e9)));
}

Colour colour_of(const std::string& state) {
  if (state == "ready" || state == "done") return Colour::green;
  if (state == "failed" || state == "quarantined" || state == "unkillable") return Colour::red;
  if (state == "disabled") return Colour::dim;
  return Colour::yellow;
}

std::string state_text(const json& worker) {
  const auto due = worker.find("next_start_in_ms");
  if (due == worker.end() || !due->is_number()) return text(worker, "state");
  const std::chrono::milliseconds wait(due->get<std::int64_t>());
  return text(worker, "state") + " " + span_text(wait);
}

// What the worker says of itself while it is up, and the supervisor's reason while it is not.
std::string remark(const json& worker) {
  const std::string complaint = text(worker.value("sandbox", json::object()), "complaint");
  const bool ready = text(worker, "state") == "ready";
  std::string words = text(worker, ready ? "status_text" : "reason");
  if (words == "-") words.clear();
  const auto put_first = [&](const std::string& more) {
    if (!more.empty()) words = more + (words.empty() ? "" : "; " + words);
  };
  if (!ready) return words;
  const json limits = worker.value("limits", json::object());
  for (const auto& [name, limit] : limits.items()) {
    const bool is_refused = limit.contains("refused") && limit["refused"].is_string();
    put_first(is_refused ? "limits." + name + " by " + text(limit, "by") : "");
  }
  put_first(complaint);
  return words;
}

std::string workers_table(const json& workers, bool colours) {
  Table table({{"WORKER"},
               {"STATE"},
               {"PID", Align::right},
               {"RESTARTS", Align::right},
               {"UP", Align::right},
               {"CPU", Align::right},
               {"MEMORY", Align::right},
               {"LAST EXIT"},
               {""}});
  for (const auto& worker : workers) {
    const bool alive = number(worker, "pid") > 0;
    char cpu[16];
    std::snprintf(cpu, sizeof(cpu), "%.1f%%", number(worker, "cpu_percent"));
    const auto last = exit_text(worker.value("last_exit", json()));
    table.add({{text(worker, "name")},
               {state_text(worker), colour_of(text(worker, "state"))},
               {alive ? text(worker, "pid") : "-"},
               {text(worker, "restarts")},
               {alive ? seconds(worker, "uptime_s") : "-"},
               {alive ? cpu : "-"},
               {alive ? bytes_text(static_cast<std::uint64_t>(number(worker, "rss_bytes"))) : "-"},
               {last.empty() ? "-" : last},
               {remark(worker), Colour::dim}});
  }
  return table.render(colours);
}

std::string receivers(const json& link) {
  const auto to = link.find("to");
  if (to == link.end() || !to->is_array()) return text(link, "to");
  std::string names;
  for (const auto& name : *to) {
    if (name.is_string()) names += (names.empty() ? "" : ", ") + name.get<std::string>();
  }
  return names;
}

std::string links_table(const json& links, bool colours) {
  Table table({{"LINK"},
               {"TYPE"},
               {"OVER"},
               {"FROM"},
               {"TO"},
               {"SENT", Align::right},
               {"ACKNOWLEDGED", Align::right},
               {"REDELIVERED", Align::right},
               {"DROPPED", Align::right},
               {"QUARANTINED", Align::right},
               {"DEPTH", Align::right}});
  for (const auto& link : links) {
    table.add({{text(link, "name")},
               {text(link, "type")},
               {text(link, "transport")},
               {text(link, "from")},
               {receivers(link)},
               {text(link, "sent")},
               {text(link, "acknowledged")},
               {text(link, "redelivered")},
               {text(link, "dropped")},
               {text(link, "quarantined")},
               {text(link, "depth")}});
  }
  return table.empty() ? "" : "\n" + table.render(colours);
}

std::string spares_table(const json& spares, bool colours) {
  Table table({{"SPARE"}, {"STATE"}, {"PID", Align::right}, {"DEATHS", Align::right}, {"WHY"}});
  for (const auto& spare : spares) {
    table.add({{text(spare, "name")},
               {text(spare, "state")},
               {text(spare, "pid")},
               {text(spare, "deaths")},
               {text(spare, "reason")}});
  }
  return table.empty() ? "" : "\n" + table.render(colours);
}

std::string sockets_table(const json& sockets, bool colours) {
  Table table({{"SOCKET"}, {"LISTENS AT"}, {"GIVEN TO"}});
  for (const auto& socket : sockets) {
    std::string workers;
    for (const auto& worker : socket.value("workers", json::array())) {
      if (worker.is_string()) workers += (workers.empty() ? "" : ", ") + worker.get<std::string>();
    }
    table.add(
        {{text(socket, "name")}, {text(socket, "address")}, {workers.empty() ? "-" : workers}});
  }
  return table.empty() ? "" : "\n" + table.render(colours);
}

std::string headline(const json& supervisor, bool colours) {
  const std::string http = text(supervisor, "http");
  return painted(printable(text(supervisor, "name")), Colour::bold, colours) + ", up " +
         seconds(supervisor, "uptime_s") + ", keeper " + text(supervisor, "keeper_pid") +
         ", brain " + text(supervisor, "brain_pid") + " (generation " +
         text(supervisor, "brain_generation") + ")" +
         (http == "-" ? "" : ", http://" + printable(http) + "/metrics") + "\n\n";
}

std::string page(const json& answer, bool colours) {
  const json empty = json::array();
  const auto part = [&](const char* key) -> const json& {
    const auto found = answer.find(key);
    return found == answer.end() ? empty : *found;
  };
  return headline(part("supervisor"), colours) + workers_table(part("workers"), colours) +
         spares_table(part("spares"), colours) + links_table(part("links"), colours) +
         sockets_table(part("sockets"), colours);
}

// False when nobody reads our output any more.
bool write_out(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

}  // namespace

Outcome status(const SystemChoice& choice, const StatusOptions& options) {
  auto system = reach(choice);
  if (!system) return complain(system.error());
  const bool colours = colours_wanted(STDOUT_FILENO);
  json params{{"all", options.all}};
  if (!options.name.empty()) params["name"] = options.name;
  for (;;) {
    const auto answer = system->request("status", params, Deadline::in(answer_timeout));
    if (!answer) return complain(answer.error());
    std::string text = options.json ? answer->dump() + "\n" : page(*answer, colours);
    if (options.watch && !options.json && ::isatty(STDOUT_FILENO) == 1) {
      text.insert(0, "\033[H\033[2J");  // home, clear
    }
    if (!write_out(text)) return Outcome::done;  // main says so
    if (!options.watch) return Outcome::done;
    ::poll(nullptr, 0, 1000);
  }
}

}  // namespace bulkhead::cli
