#include "cli/incident_text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/event_text.hpp"
#include "cli/fields.hpp"
#include "cli/terminal.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;

constexpr std::size_t frames_shown = 16, log_lines_shown = 6, function_bytes_shown = 120,
                      threads_shown = 8;

std::string microseconds(double us) {
  return span_text(std::chrono::nanoseconds(std::llround(us * 1e3)));
}

std::string worker_of(const json& incident) {
  const std::string name = string_in(incident, "name");
  return name.substr(0, name.rfind('.'));
}

// What makes two of them alike: the same worker died in the same way at the same place. Addresses of data differ from
// one to the next.
std::string likeness(const json& incident) {
  std::string key = worker_of(incident) + '\n' + string_in(incident, "cause") + '\n';
  // Of one that hung each look finds another place.
  if (const json& hang = part_in(incident, "hang"); hang.is_object()) {
    return key + string_in(hang, "verdict");
  }
  const json& backtrace = part_in(part_in(incident, "report"), "backtrace");
  for (const auto& frame : backtrace) {
    key += string_in(frame, "module") + '+' +
           std::to_string(std::llround(number_in(frame, "offset"))) + '\n';
  }
  if (!backtrace.empty()) return key;
  // Each `bulkhead kill` is another process, and what it did the same.
  std::string words = string_in(incident, "words");
  static constexpr std::string_view sender = "from pid ";
  if (const auto at = words.find(sender); at != std::string::npos) {
    const auto begin = at + sender.size();
    words.erase(begin, words.find_first_not_of("0123456789", begin) - begin);
  }
  return key + words;
}

std::string place_of(const json& frame) {
  const std::string file = string_in(frame, "file");
  if (!file.empty()) return file + ":" + std::to_string(std::llround(number_in(frame, "line")));
  const std::string module = string_in(frame, "module");
  if (module.empty()) return string_in(frame, "address");
  if (!string_in(frame, "function").empty()) return module;
  // What addr2line takes: the address itself is another one in each process.
  std::array<char, 24> offset{};
  std::snprintf(offset.data(), offset.size(), "+0x%llx",
                static_cast<unsigned long long>(number_in(frame, "offset")));
  return module + offset.data();
}

std::string frame_line(const json& frame) {
  std::string function = string_in(frame, "function");
  if (function.size() > function_bytes_shown)
    function.replace(function_bytes_shown, std::string::npos, "...");
  const std::string problem = string_in(frame, "problem");
  return (function.empty() ? "" : function + "  ") + place_of(frame) +
         (part_in(frame, "inlined") == true ? " (inlined)" : "") +
         (problem.empty() ? "" : "  (" + problem + ")");
}

// What every abort and uncaught exception goes through: it says nothing about this one.
bool belongs_to_dying(const json& frame) {
  static constexpr std::string_view beginnings[] = {
      "__pthread_kill",
      "raise",
      "gsignal",
      "abort",
      "bulkhead::(anonymous namespace)::print_and_abort",
      "__cxxabiv1::",
      "std::terminate",
      "__cxa_throw"};
  const std::string function = string_in(frame, "function");
  return std::any_of(std::begin(beginnings), std::end(beginnings),
                     [&](std::string_view beginning) { return function.starts_with(beginning); });
}

// Without the way to die, and without what a library's header put into the functions shown.
std::vector<json> telling_frames(const json& backtrace) {
  std::vector<json> frames;
  for (const auto& frame : backtrace) {
    if (frames.empty() && belongs_to_dying(frame)) continue;
    const bool is_library =
        part_in(frame, "inlined") == true && string_in(frame, "file").starts_with("/usr/include/");
    if (!is_library) frames.push_back(frame);
  }
  return frames;
}

// "deeper" of "app::(anonymous namespace)::deeper(int)": an inlined function may be known by that alone.
std::string last_part(std::string function) {
  static constexpr std::string_view unnamed = "(anonymous namespace)";
  for (std::size_t at; (at = function.find(unnamed)) != std::string::npos;) {
    function.erase(at, unnamed.size());
  }
  function.resize(std::min(function.find_first_of("(<"), function.size()));
  const auto colon = function.rfind(':');
  return colon == std::string::npos ? function : function.substr(colon + 1);
}

bool is_same_call(const json& a, const json& b) {
  return place_of(a) == place_of(b) &&
         last_part(string_in(a, "function")) == last_part(string_in(b, "function"));
}

// A recursion is one line, under the fullest name.
std::string backtrace_lines(const std::vector<json>& backtrace) {
  std::string text;
  std::size_t at = 0;
  for (std::size_t shown = 0; at < backtrace.size() && shown < frames_shown; ++shown) {
    const auto begin = backtrace.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = std::find_if(begin, backtrace.end(),
                                  [&](const json& f) { return !is_same_call(f, *begin); });
    const auto fullest = std::max_element(begin, end, [](const json& a, const json& b) {
      return string_in(a, "function").size() < string_in(b, "function").size();
    });
    const auto same = static_cast<std::size_t>(end - begin);
    text += "    at " + printable(frame_line(*fullest)) +
            (same > 1 ? ", " + std::to_string(same) + " times" : "") + "\n";
    at += same;
  }
  if (at < backtrace.size()) {
    text += "    and " + std::to_string(backtrace.size() - at) + " more\n";
  }
  return text;
}

std::string thread_line(const json& thread) {
  const std::string waits_in = string_in(thread, "waits_in");
  return "    thread " + part_in(thread, "tid").dump() + " " + string_in(thread, "name") + ", " +
         string_in(thread, "state") + (waits_in.empty() ? "" : " in " + waits_in) + ", " +
         std::to_string(std::llround(number_in(thread, "cpu_percent"))) + " % of a processor";
}

// Each with its stack, the one that is to blame first.
std::string thread_lines(const json& incident) {
  const json& report = part_in(incident, "report");
  const json& blamed = part_in(part_in(incident, "hang"), "thread");
  std::vector<json> threads(part_in(report, "threads").begin(), part_in(report, "threads").end());
  std::stable_partition(threads.begin(), threads.end(),
                        [&](const json& thread) { return part_in(thread, "tid") == blamed; });
  std::string text;
  for (std::size_t i = 0; i < threads.size() && i < threads_shown; ++i) {
    text += printable(thread_line(threads[i])) + "\n" +
            backtrace_lines(telling_frames(part_in(threads[i], "backtrace")));
  }
  const auto left_out = static_cast<std::size_t>(number_in(report, "threads_left_out")) +
                        threads.size() - std::min(threads.size(), threads_shown);
  if (left_out != 0) text += "    and " + std::to_string(left_out) + " threads more\n";
  const std::string problem = string_in(report, "threads_problem");
  if (!problem.empty()) text += "    without stacks: " + printable(problem) + "\n";
  return text;
}

std::string log_lines(const json& lines) {
  std::string text;
  const std::size_t first = lines.size() > log_lines_shown ? lines.size() - log_lines_shown : 0;
  for (std::size_t i = first; i < lines.size(); ++i) {
    if (lines[i].is_string()) text += "    | " + printable(lines[i].get<std::string>()) + "\n";
  }
  return text;
}

std::string recovery_words(const json& incident) {
  const json& ready = part_in(incident, "ready_us");
  if (ready.is_number()) return "ready again after " + microseconds(ready.get<double>());
  return string_in(incident, "state") == "open" ? "not ready again yet" : "not started again";
}

// Incidents that are alike; of a worker with several instances they may be of any.
struct Group {
  std::size_t seen = 0;
  std::set<std::string> instances = {};
  const json* last = nullptr;
};

std::string group_text(const Group& group, std::int64_t offset_ns, bool colours) {
  const json& last = *group.last;
  const auto died = static_cast<std::int64_t>(number_in(last, "died_ns"));
  const json& report = part_in(last, "report");
  const std::string times =
      group.seen == 1 ? "" : ", seen " + std::to_string(group.seen) + " times, the last time";
  const bool is_of_one = group.instances.size() == 1;
  const std::string whose =
      is_of_one ? string_in(last, "name")
                : worker_of(last) + ", " + std::to_string(group.instances.size()) + " instances";
  return painted(printable(whose), Colour::bold, colours) + "  " +
         painted(printable(string_in(last, "words")), Colour::red, colours) + times + "\n" +
         painted("    " + wall_clock(died + offset_ns) + ", incident " +
                     part_in(last, "number").dump() + ", " +
                     (is_of_one ? "" : printable(string_in(last, "name")) + ", ") + "pid " +
                     part_in(last, "pid").dump() + ", " + recovery_words(last),
                 Colour::dim, colours) +
         "\n" +
         (part_in(report, "threads").empty()
              ? backtrace_lines(telling_frames(part_in(report, "backtrace")))
              : thread_lines(last)) +
         log_lines(part_in(report, "last_logs"));
}

double percentile(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace

json recovery_by_cause(const json& incidents) {
  std::map<std::string, std::vector<double>> took;
  for (const auto& incident : incidents) {
    const json& ready = part_in(incident, "ready_us");
    if (ready.is_number()) took[string_in(incident, "cause")].push_back(ready.get<double>());
  }
  json recovery = json::object();
  for (auto& [cause, times] : took) {
    std::sort(times.begin(), times.end());
    recovery[cause] = {{"n", times.size()},
                       {"ready_p50_us", percentile(times, 0.5)},
                       {"ready_p99_us", percentile(times, 0.99)}};
  }
  return recovery;
}

std::string incident_groups(const json& incidents, std::int64_t offset_ns, bool colours) {
  std::map<std::string, Group> groups;
  for (const auto& incident : incidents) {
    Group& group = groups[likeness(incident)];
    ++group.seen;
    group.instances.insert(string_in(incident, "name"));
    group.last = &incident;
  }
  std::vector<Group> in_order;
  for (const auto& [key, group] : groups) in_order.push_back(group);
  std::sort(in_order.begin(), in_order.end(), [](const Group& a, const Group& b) {
    return number_in(*a.last, "number") < number_in(*b.last, "number");
  });
  std::string text;
  for (const Group& group : in_order) text += group_text(group, offset_ns, colours);
  return text;
}

std::string recovery_table(const json& recovery, bool colours, const std::string& title) {
  using Align = Table::Align;
  Table table({{title}, {"N", Align::right}, {"P50", Align::right}, {"P99", Align::right}});
  for (const auto& [cause, figures] : recovery.items()) {
    table.add({{printable(cause)},
               {part_in(figures, "n").dump()},
               {microseconds(number_in(figures, "ready_p50_us"))},
               {microseconds(number_in(figures, "ready_p99_us"))}});
  }
  return table.empty() ? "" : "\n" + table.render(colours);
}

}  // namespace bulkhead::cli
