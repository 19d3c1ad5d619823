// `status`: the tables of workers and links.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/event_text.hpp"
#include "cli/fields.hpp"
#include "cli/system.hpp"
#include "cli/terminal.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using Align = Table::Align;

// A field as text; "-" for what is missing or null.
std::string seconds(const json& object, const char* key) {
  const double value = number_in(object, key);
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
  if (due == worker.end() || !due->is_number()) return cell_in(worker, "state");
  const std::chrono::milliseconds wait(due->get<std::int64_t>());
  return cell_in(worker, "state") + " " + span_text(wait);
}

// What the worker says of itself while it is up, and the supervisor's reason while it is not.
std::string remark(const json& worker) {
  const std::string complaint = cell_in(worker.value("sandbox", json::object()), "complaint");
  const bool ready = cell_in(worker, "state") == "ready";
  std::string words = cell_in(worker, ready ? "status_text" : "reason");
  if (words == "-") words.clear();
  const auto put_first = [&](const std::string& more) {
    if (!more.empty()) words = more + (words.empty() ? "" : "; " + words);
  };
  if (!ready) return words;
  const json limits = worker.value("limits", json::object());
  for (const auto& [name, limit] : limits.items()) {
    const bool is_refused = limit.contains("refused") && limit["refused"].is_string();
    put_first(is_refused ? "limits." + name + " by " + cell_in(limit, "by") : "");
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
    const bool alive = number_in(worker, "pid") > 0;
    char cpu[16];
    std::snprintf(cpu, sizeof(cpu), "%.1f%%", number_in(worker, "cpu_percent"));
    const auto last = exit_text(worker.value("last_exit", json()));
    table.add(
        {{cell_in(worker, "name")},
         {state_text(worker), colour_of(cell_in(worker, "state"))},
         {alive ? cell_in(worker, "pid") : "-"},
         {cell_in(worker, "restarts")},
         {alive ? seconds(worker, "uptime_s") : "-"},
         {alive ? cpu : "-"},
         {alive ? bytes_text(static_cast<std::uint64_t>(number_in(worker, "rss_bytes"))) : "-"},
         {last.empty() ? "-" : last},
         {remark(worker), Colour::dim}});
  }
  return table.render(colours);
}

std::string receivers(const json& link) {
  const auto to = link.find("to");
  if (to == link.end() || !to->is_array()) return cell_in(link, "to");
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
    table.add({{cell_in(link, "name")},
               {cell_in(link, "type")},
               {cell_in(link, "transport")},
               {cell_in(link, "from")},
               {receivers(link)},
               {cell_in(link, "sent")},
               {cell_in(link, "acknowledged")},
               {cell_in(link, "redelivered")},
               {cell_in(link, "dropped")},
               {cell_in(link, "quarantined")},
               {cell_in(link, "depth")}});
  }
  return table.empty() ? "" : "\n" + table.render(colours);
}

std::string spares_table(const json& spares, bool colours) {
  Table table({{"SPARE"}, {"STATE"}, {"PID", Align::right}, {"DEATHS", Align::right}, {"WHY"}});
  for (const auto& spare : spares) {
    table.add({{cell_in(spare, "name")},
               {cell_in(spare, "state")},
               {cell_in(spare, "pid")},
               {cell_in(spare, "deaths")},
               {cell_in(spare, "reason")}});
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
    table.add({{cell_in(socket, "name")},
               {cell_in(socket, "address")},
               {workers.empty() ? "-" : workers}});
  }
  return table.empty() ? "" : "\n" + table.render(colours);
}

std::string headline(const json& supervisor, bool colours) {
  const std::string http = cell_in(supervisor, "http");
  return painted(printable(cell_in(supervisor, "name")), Colour::bold, colours) + ", up " +
         seconds(supervisor, "uptime_s") + ", keeper " + cell_in(supervisor, "keeper_pid") +
         ", brain " + cell_in(supervisor, "brain_pid") + " (generation " +
         cell_in(supervisor, "brain_generation") + ")" +
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
