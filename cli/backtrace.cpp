#include "cli/backtrace.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/fields.hpp"
#include "cli/system.hpp"
#include "pool/ask_symboliser.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;

struct Module {
  std::string path, build_id;
  auto operator<=>(const Module&) const = default;
};
using Offsets = std::map<std::uint64_t, json>;  // what stands there: a list of places

// What holds "frames": the crash, and the threads of one that hung.
std::vector<json*> holders_of_frames(json& incident) {
  std::vector<json*> holders;
  if (!incident.contains("report")) return holders;
  json& report = incident["report"];
  if (report.contains("crash") && report["crash"].contains("frames")) {
    holders.push_back(&report["crash"]);
  }
  for (auto& thread : report["threads"]) {
    if (thread.contains("frames")) holders.push_back(&thread);
  }
  return holders;
}

// One question for all modules; the answer comes in the same order.
void find_places(std::map<Module, Offsets>& wanted) {
  auto modules = json::array();
  for (const auto& [module, offsets] : wanted) {
    auto numbers = json::array();
    for (const auto& [offset, places] : offsets) numbers.push_back(offset);
    modules.push_back({{"path", module.path}, {"build_id", module.build_id}, {"offsets", numbers}});
  }
  if (modules.empty()) return;
  const auto answer = pool::ask_symboliser(program_directory() + "/bulkhead-symboliser",
                                           {{"modules", std::move(modules)}});
  const std::string failure = answer ? "" : answer.error().context;
  std::size_t at = 0;
  for (auto& [module, offsets] : wanted) {
    const json found = answer ? answer->value("modules", json::array()).at(at++) : json::object();
    const auto places = found.find("places");
    std::size_t index = 0;
    for (auto& [offset, known] : offsets) {
      if (places != found.end() && index < places->size()) {
        known = (*places)[index++];
      } else {
        known = found.value("error", failure);
      }
    }
  }
}

json backtrace_of(const json& frames, const std::map<Module, Offsets>& known) {
  auto backtrace = json::array();
  for (const auto& frame : frames) {
    json bare{{"function", nullptr},
              {"file", nullptr},
              {"line", nullptr},
              {"address", frame.value("address", "")}};
    if (!frame.contains("module")) {
      bare["problem"] = "in no program or library";
      backtrace.push_back(std::move(bare));
      continue;
    }
    bare["module"] = frame["module"];
    bare["offset"] = frame["offset"];
    const json& places = known.at({string_in(frame, "module"), string_in(frame, "build_id")})
                             .at(frame["offset"].get<std::uint64_t>());
    if (!places.is_array()) {
      bare["problem"] = places;
      backtrace.push_back(std::move(bare));
      continue;
    }
    for (const auto& place : places) {
      json named = bare;
      for (const char* key : {"function", "file"}) {
        if (!string_in(place, key).empty()) named[key] = place[key];
      }
      if (place.value("line", 0) > 0) named["line"] = place["line"];
      named["inlined"] = place.value("inlined", false);
      backtrace.push_back(std::move(named));
    }
  }
  return backtrace;
}

}  // namespace

void name_frames(json& incidents) {
  std::map<Module, Offsets> known;
  for (auto& incident : incidents) {
    for (const json* holder : holders_of_frames(incident)) {
      for (const auto& frame : (*holder)["frames"]) {
        if (!frame.contains("module")) continue;
        known[{string_in(frame, "module"), string_in(frame, "build_id")}]
             [frame["offset"].get<std::uint64_t>()];
      }
    }
  }
  find_places(known);
  for (auto& incident : incidents) {
    const json blamed = incident.value(json::json_pointer("/hang/thread"), json());
    for (json* holder : holders_of_frames(incident)) {
      auto backtrace = backtrace_of((*holder)["frames"], known);
      holder->erase("frames");
      const bool is_thread = holder->contains("tid");
      if (is_thread) (*holder)["backtrace"] = backtrace;
      if (!is_thread || (*holder)["tid"] == blamed) {
        incident["report"]["backtrace"] = std::move(backtrace);
      }
    }
  }
}

}  // namespace bulkhead::cli
