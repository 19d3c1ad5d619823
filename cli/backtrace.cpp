#include "cli/backtrace.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "base/spawn.hpp"
#include "cli/fields.hpp"
#include "cli/system.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;

// Debug information may be large, and made to be.
constexpr std::uint64_t memory_max = std::uint64_t{4} << 30, seconds_max = 60;

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

Result<base::UniqueFd> as_file(const std::string& text) {
  auto file = base::make_memfd("frames", false);
  if (!file) return file.error();
  if (::write(file->get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::lseek(file->get(), 0, SEEK_SET) != 0) {
    return errno_error(errno, "write down the frames");
  }
  return file;
}

std::string read_all(int fd) {
  std::string text;
  char chunk[65536];
  for (;;) {
    const ssize_t got = ::read(fd, chunk, sizeof chunk);
    if (got > 0) text.append(chunk, static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) return text;
  }
}

Result<json> ask_symboliser(const json& question) {
  const auto file = as_file(question.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!file) return file.error();
  auto pipe = base::make_pipe();
  if (!pipe) return pipe.error();
  base::SpawnPlan plan;
  plan.executable = program_directory() + "/bulkhead-symboliser";
  plan.argv = {"bulkhead-symboliser"};
  plan.input = file->get();
  plan.output = pipe->second.get();
  plan.errors = 2;
  plan.limits = {{RLIMIT_AS, memory_max, memory_max}, {RLIMIT_CPU, seconds_max, seconds_max}};
  plan.death_signal = base::DeathSignal{9, ::getpid()};
  auto spawned = base::spawn(plan);
  if (!spawned) return spawned.error();
  base::ChildProcess child(std::move(*spawned), base::ChildProcess::OnDestroy::kill);
  pipe->second.reset();
  const std::string text = read_all(pipe->first.get());
  const auto ended = child.wait(Deadline::never());
  if (!ended) return ended.error();
  const auto answer = json::parse(text, nullptr, false);
  if (*ended != base::ExitStatus(base::Exited{0}) || !answer.is_object()) {
    return make_error(Errc::remote_error, "the symboliser ended with " + base::to_string(*ended));
  }
  return answer;
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
  const auto answer = ask_symboliser({{"modules", std::move(modules)}});
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
