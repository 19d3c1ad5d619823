#include "supervisor/hang_report.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "supervisor/incident_words.hpp"

namespace bulkhead::supervisor {
namespace {

using nlohmann::json;

const char* state_in_words(char state) {
  switch (state) {
    case 'R': return "running";
    case 'S':
    case 'I': return "sleeping";
    case 'D': return "uninterruptible";
    case 'T': return "stopped";
    case 't': return "traced";
    default: return "ended";
  }
}

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The program that wrote it had read a memory that may hold anything.
json* array_in(json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? &*found : nullptr;
}

std::map<pid_t, json> stacks_by_thread(json& read) {
  std::map<pid_t, json> stacks;
  if (auto* const threads = array_in(read, "threads")) {
    for (auto& thread : *threads) {
      if (!thread.is_object() || !thread.contains("tid") || !thread["tid"].is_number_integer()) {
        continue;
      }
      const auto id = thread["tid"].get<pid_t>();
      stacks[id] = std::move(thread);
    }
  }
  return stacks;
}

json frame_of(const json& frame, const json* modules) {
  if (!frame.is_array() || frame.size() != 2 || !frame[0].is_number_integer() ||
      !frame[1].is_number_unsigned()) {
    return {{"address", nullptr}};
  }
  const auto index = frame[0].get<std::int64_t>();
  const auto place = frame[1].get<std::uint64_t>();
  const bool in_module = modules != nullptr && index >= 0 &&
                         static_cast<std::size_t>(index) < modules->size() &&
                         (*modules)[static_cast<std::size_t>(index)].is_object();
  if (in_module) {
    const json& module = (*modules)[static_cast<std::size_t>(index)];
    return {{"module", module.value("path", "")},
            {"build_id", module.value("build_id", "")},
            {"offset", place}};
  }
  return {{"address", hexadecimal(place)}};
}

}  // namespace

std::string merge_threads(const ThreadsSeen& before, const ThreadsSeen& now,
                          std::string_view stacks, const std::string& problem,
                          std::size_t bytes_max) {
  json read = json::parse(stacks, nullptr, false);
  auto by_thread = stacks_by_thread(read);
  auto threads = json::array();
  for (const auto& thread : now.threads) {
    json one{{"tid", thread.id},
             {"name", thread.name},
             {"state", state_in_words(thread.state)},
             {"waits_in", thread.waits_in},
             {"cpu_percent", cpu_percent(before, now, thread.id)},
             {"frames", json::array()}};
    if (auto* const frames = array_in(by_thread[thread.id], "frames")) {
      one["frames"] = std::move(*frames);
    }
    threads.push_back(std::move(one));
  }
  json merged{{"modules", json::array()},
              {"threads", std::move(threads)},
              {"left_out", 0},
              {"problem", problem}};
  if (auto* const modules = array_in(read, "modules")) merged["modules"] = std::move(*modules);
  if (read.is_object() && read.contains("error") && read["error"].is_string()) {
    merged["problem"] = read["error"];
  }
  std::string text = dumped(merged);
  while (text.size() > bytes_max && !merged["threads"].empty()) {
    merged["threads"].erase(merged["threads"].size() - 1);
    merged["left_out"] = merged["left_out"].get<std::size_t>() + 1;
    text = dumped(merged);
  }
  return text.size() <= bytes_max ? text : "";
}

json expand_threads(std::string_view kept) {
  json report{{"threads", json::array()}, {"threads_left_out", 0}, {"threads_problem", nullptr}};
  json read = json::parse(kept, nullptr, false);
  auto* const threads = array_in(read, "threads");
  if (threads == nullptr) return report;
  const json* const modules = array_in(read, "modules");
  for (auto& thread : *threads) {
    if (auto* const frames = array_in(thread, "frames")) {
      for (auto& frame : *frames) frame = frame_of(frame, modules);
    }
  }
  report["threads"] = std::move(*threads);
  report["threads_left_out"] = read.value("left_out", 0);
  if (const auto problem = read.value("problem", ""); !problem.empty()) {
    report["threads_problem"] = problem;
  }
  return report;
}

}  // namespace bulkhead::supervisor
