#include "supervisor/config_diff.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

namespace bulkhead::supervisor {
namespace {

using Json = nlohmann::ordered_json;

// What the supervisor alone looks at, each time anew. Whatever else a worker has, only a new process sees.
constexpr std::array<std::string_view, 9> in_place_keys{"instances", "ready",       "depends_on",
                                                        "restart",   "stop",        "logs",
                                                        "every",     "significant", "warm_spares"};
// Of a link: what decides how its memory is laid out, and who reads it.
constexpr std::array<std::string_view, 5> layout_keys{"type", "transport", "capacity",
                                                      "max_message", "from"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& keys, std::string_view key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

std::string first_part(const std::string& pointer) {
  return pointer.substr(1, pointer.find('/', 1) - 1);
}

std::string escaped(const std::string& key) {
  std::string text;
  for (const char c : key) {
    if (c == '~')
      text += "~0";
    else if (c == '/')
      text += "~1";
    else
      text += c;
  }
  return text;
}

// Objects are compared key by key, everything else as a whole: an array's positions mean nothing.
void compare(const std::string& at, const Json* was, const Json* is, std::vector<KeyChange>& into) {
  const bool both = was != nullptr && is != nullptr;
  if (both && *was == *is) return;
  if (!both || !was->is_object() || !is->is_object()) {
    into.push_back({at, was != nullptr ? was->dump() : "", is != nullptr ? is->dump() : ""});
    return;
  }
  const auto member = [](const Json& object, const std::string& key) {
    const auto found = object.find(key);
    return found == object.end() ? nullptr : &*found;
  };
  for (const auto& [key, value] : was->items()) {
    compare(at + "/" + escaped(key), &value, member(*is, key), into);
  }
  for (const auto& [key, value] : is->items()) {
    if (member(*was, key) == nullptr) compare(at + "/" + escaped(key), nullptr, &value, into);
  }
}

std::vector<KeyChange> changes(const Json& was, const Json& is) {
  std::vector<KeyChange> list;
  compare("", &was, &is, list);
  return list;
}

std::uint32_t instances_of(const SystemConfig& config, const std::string& name) {
  const auto* worker = config.find_worker(name);
  return worker == nullptr ? 0 : worker->instances;
}

WorkerDiff compare_workers(const WorkerConfig& was, const WorkerConfig& is, const Json& was_json,
                           const Json& is_json) {
  WorkerDiff diff;
  diff.name = is.name;
  diff.was_instances = was.instances;
  diff.instances = is.instances;
  for (auto& change : changes(was_json, is_json)) {
    const bool stays = is_one_of(in_place_keys, first_part(change.key));
    if (change.key == "/instances") continue;  // told by the numbers
    (stays ? diff.in_place : diff.restarts_for).push_back(std::move(change));
  }
  // The same words may mean another file: the config lies elsewhere, or PATH finds another one.
  if (was.command == is.command && was.executable != is.executable) {
    diff.restarts_for.push_back(
        {"/command/0", Json(was.executable).dump(), Json(is.executable).dump()});
  }
  return diff;
}

std::set<std::string> ends_of(const LinkConfig& link) {
  std::set<std::string> ends(link.to.begin(), link.to.end());
  ends.insert(link.from);
  return ends;
}

// A worker is given its links when it starts, so it has to start again when they are others.
void blame(ConfigDiff& diff, const std::string& worker, const std::string& why, bool together) {
  const auto found = std::find_if(diff.workers.begin(), diff.workers.end(),
                                  [&](const auto& known) { return known.name == worker; });
  if (found == diff.workers.end() || found->fate == WorkerFate::added ||
      found->fate == WorkerFate::removed) {
    return;
  }
  found->given.push_back(why);
  found->together = found->together || together;
}

void compare_link(ConfigDiff& diff, const LinkConfig& was, const LinkConfig& is,
                  const Json& was_json, const Json& is_json) {
  LinkDiff link;
  link.name = is.name;
  link.keys = changes(was_json, is_json);
  for (const auto& change : link.keys) {
    link.fate = LinkFate::changed;
    const std::string key = first_part(change.key);
    // A topic's subscribers come and go one by one; any other receiver is the link's only one.
    link.discards =
        link.discards || is_one_of(layout_keys, key) || (key == "to" && is.type != LinkType::topic);
  }
  if (link.fate == LinkFate::changed) {
    auto ends = ends_of(was);
    ends.merge(ends_of(is));
    for (const auto& end : ends) blame(diff, end, "link " + is.name + " changes", link.discards);
  }
  diff.links.push_back(std::move(link));
}

// Of a link that stays as it is: who sees more or fewer peers.
void compare_peers(ConfigDiff& diff, const LinkConfig& link, const SystemConfig& was,
                   const SystemConfig& is) {
  const auto tell = [&](const std::string& worker, const std::string& peer) {
    const auto before = instances_of(was, peer), after = instances_of(is, peer);
    if (before == after) return;
    blame(diff, worker,
          "link " + link.name + ": " + peer + " has " + std::to_string(before) + " -> " +
              std::to_string(after) + " instances",
          false);
  };
  for (const auto& to : link.to) {
    tell(link.from, to);
    tell(to, link.from);
  }
}

void compare_links(ConfigDiff& diff, const SystemConfig& was, const SystemConfig& is,
                   const Json& was_json, const Json& is_json) {
  for (const LinkConfig& link : is.links) {
    if (const LinkConfig* before = was.find_link(link.name)) {
      compare_link(diff, *before, link, was_json["links"][link.name], is_json["links"][link.name]);
      if (diff.links.back().fate == LinkFate::unchanged) compare_peers(diff, link, was, is);
      continue;
    }
    diff.links.push_back({link.name, LinkFate::added, {}, false});
    for (const auto& end : ends_of(link)) blame(diff, end, "link " + link.name + " is new", false);
  }
  for (const LinkConfig& link : was.links) {
    if (is.find_link(link.name) != nullptr) continue;
    diff.links.push_back({link.name, LinkFate::removed, {}, true});
    for (const auto& end : ends_of(link)) blame(diff, end, "link " + link.name + " goes", false);
  }
}

// A worker that names another socket than before is told by its own keys.
void compare_sockets(ConfigDiff& diff, const SystemConfig& is, const Json& was_json,
                     const Json& is_json) {
  for (const auto& [name, value] : is_json["sockets"].items()) {
    const auto before = was_json["sockets"].find(name);
    LinkDiff socket{name, LinkFate::added, {}, false};
    if (before != was_json["sockets"].end()) {
      socket.keys = changes(*before, value);
      socket.fate = socket.keys.empty() ? LinkFate::unchanged : LinkFate::changed;
    }
    for (const auto& worker : is.workers) {
      const bool named =
          std::find(worker.sockets.begin(), worker.sockets.end(), name) != worker.sockets.end();
      if (named && socket.fate == LinkFate::changed) {
        blame(diff, worker.name, "socket " + name + " listens elsewhere", false);
      }
    }
    diff.sockets.push_back(std::move(socket));
  }
  for (const auto& [name, value] : was_json["sockets"].items()) {
    if (!is_json["sockets"].contains(name)) {
      diff.sockets.push_back({name, LinkFate::removed, {}, false});
    }
  }
}

void settle_fate(WorkerDiff& worker) {
  if (worker.fate == WorkerFate::added || worker.fate == WorkerFate::removed) return;
  if (!worker.restarts_for.empty() || !worker.given.empty()) {
    worker.fate = WorkerFate::restarted;
  } else if (!worker.in_place.empty() || worker.was_instances != worker.instances) {
    worker.fate = WorkerFate::changed;
  }
}

Json value_of(const std::string& text) { return text.empty() ? Json() : Json::parse(text); }

Json changes_json(const std::vector<KeyChange>& list) {
  Json json = Json::array();
  for (const auto& change : list) {
    json.push_back(
        {{"key", change.key}, {"was", value_of(change.was)}, {"is", value_of(change.is)}});
  }
  return json;
}

}  // namespace

std::string_view to_string(WorkerFate fate) noexcept {
  switch (fate) {
    case WorkerFate::unchanged: return "unchanged";
    case WorkerFate::changed: return "changed";
    case WorkerFate::restarted: return "restarted";
    case WorkerFate::added: return "added";
    case WorkerFate::removed: break;
  }
  return "removed";
}

std::string_view to_string(LinkFate fate) noexcept {
  switch (fate) {
    case LinkFate::unchanged: return "unchanged";
    case LinkFate::changed: return "changed";
    case LinkFate::added: return "added";
    case LinkFate::removed: break;
  }
  return "removed";
}

bool ConfigDiff::empty() const noexcept {
  const auto stays = [](const LinkDiff& part) { return part.fate == LinkFate::unchanged; };
  return system.empty() &&
         std::all_of(workers.begin(), workers.end(),
                     [](const auto& worker) { return worker.fate == WorkerFate::unchanged; }) &&
         std::all_of(links.begin(), links.end(), stays) &&
         std::all_of(sockets.begin(), sockets.end(), stays);
}

const WorkerDiff* ConfigDiff::worker(std::string_view name) const noexcept {
  const auto found = std::find_if(workers.begin(), workers.end(),
                                  [&](const auto& worker) { return worker.name == name; });
  return found == workers.end() ? nullptr : &*found;
}

ConfigDiff diff_configs(const SystemConfig& was, const SystemConfig& is) {
  Json was_json = effective_json(was), is_json = effective_json(is);
  ConfigDiff diff;
  for (const WorkerConfig& worker : is.workers) {
    if (const WorkerConfig* before = was.find_worker(worker.name)) {
      diff.workers.push_back(compare_workers(*before, worker, was_json["workers"][worker.name],
                                             is_json["workers"][worker.name]));
      continue;
    }
    auto& added = diff.workers.emplace_back();
    added.name = worker.name;
    added.fate = WorkerFate::added;
    added.instances = worker.instances;
  }
  for (const WorkerConfig& worker : was.workers) {
    if (is.find_worker(worker.name) != nullptr) continue;
    auto& removed = diff.workers.emplace_back();
    removed.name = worker.name;
    removed.fate = WorkerFate::removed;
    removed.was_instances = worker.instances;
  }
  compare_links(diff, was, is, was_json, is_json);
  compare_sockets(diff, is, was_json, is_json);
  for (auto& worker : diff.workers) settle_fate(worker);
  for (const char* told : {"workers", "links", "sockets"}) {
    was_json.erase(told);
    is_json.erase(told);
  }
  diff.system = changes(was_json, is_json);
  return diff;
}

std::string summary(const ConfigDiff& diff) {
  if (diff.empty()) return "nothing changes";
  std::string text;
  const auto say = [&](std::size_t count, std::string_view what) {
    if (count == 0) return;
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + std::string(what);
  };
  for (const auto fate :
       {WorkerFate::added, WorkerFate::removed, WorkerFate::restarted, WorkerFate::changed}) {
    say(static_cast<std::size_t>(
            std::count_if(diff.workers.begin(), diff.workers.end(),
                          [&](const auto& worker) { return worker.fate == fate; })),
        to_string(fate));
  }
  return text.empty() ? "settings of the system" : text;
}

nlohmann::json diff_json(const ConfigDiff& diff) {
  Json workers = Json::array(), links = Json::array(), sockets = Json::array();
  for (const auto& worker : diff.workers) {
    workers.push_back({{"name", worker.name},
                       {"action", to_string(worker.fate)},
                       {"instances", {{"was", worker.was_instances}, {"is", worker.instances}}},
                       {"restarts_for", changes_json(worker.restarts_for)},
                       {"in_place", changes_json(worker.in_place)},
                       {"given", worker.given},
                       {"together", worker.together}});
  }
  for (const auto& link : diff.links) {
    links.push_back({{"name", link.name},
                     {"action", to_string(link.fate)},
                     {"keys", changes_json(link.keys)},
                     {"discards", link.discards}});
  }
  for (const auto& socket : diff.sockets) {
    sockets.push_back({{"name", socket.name},
                       {"action", to_string(socket.fate)},
                       {"keys", changes_json(socket.keys)}});
  }
  return nlohmann::json{{"summary", summary(diff)},
                        {"changes", !diff.empty()},
                        {"workers", nlohmann::json(workers)},
                        {"links", nlohmann::json(links)},
                        {"sockets", nlohmann::json(sockets)},
                        {"supervisor", nlohmann::json(changes_json(diff.system))}};
}

}  // namespace bulkhead::supervisor
