// Incidents as JSON. Frames are told as module, build-id and offset: whoever shows them finds out what stands
// there, since that takes time and reads files that a worker has named.
#include <algorithm>
#include <array>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "supervisor/incident_words.hpp"
#include "supervisor/incidents.hpp"
#include "supervisor/sandbox_calls.hpp"

namespace bulkhead::supervisor {
namespace {

using nlohmann::json;

// What one answer has at the most: it is made in the brain's time.
constexpr std::size_t incidents_per_answer = 128, details_per_answer = 8;

std::string build_id(const ipc::CrashModule& module) {
  std::string text;
  for (std::size_t i = 0; i < module.build_id_bytes; ++i) {
    std::array<char, 4> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", module.build_id[i]);
    text += digits.data();
  }
  return text;
}

json frame_of(const ipc::CrashPage& page, std::uint64_t address) {
  json frame{{"address", hexadecimal(address)}};
  const auto* const end = page.modules + page.module_count;
  const auto* const module = std::find_if(page.modules, end, [&](const ipc::CrashModule& m) {
    return address >= m.begin && address < m.end;
  });
  if (module == end) return frame;
  frame["module"] = valid_text(module->path);
  frame["build_id"] = build_id(*module);
  frame["offset"] = address - module->base;
  return frame;
}

json crash_of(const ipc::CrashPage& page) {
  json crash{
      {"signal", signal_name(page.signal)},
      {"code", page.code},
      {"address", hexadecimal(page.address)},
      {"stack_overflow", page.stack_overflow != 0},
      {"thread", page.thread},
      {"thread_name", valid_text(page.thread_name)},
      {"registers",
       {{"pc", hexadecimal(page.pc)}, {"sp", hexadecimal(page.sp)}, {"fp", hexadecimal(page.fp)}}},
      {"exception", nullptr}};
  crash["system_call"] =
      page.signal == SIGSYS && page.code > 0 ? json(name_of_call(page.address)) : json();
  if (page.has_exception != 0) {
    crash["exception"] = {{"type", valid_text(page.exception_type)},
                          {"what", valid_text(page.exception_what)}};
  }
  auto frames = json::array();
  for (std::size_t i = 0; i < page.frame_count; ++i)
    frames.push_back(frame_of(page, page.frames[i]));
  crash["frames"] = std::move(frames);
  return crash;
}

json last_lines(const IncidentDetail& detail) {
  const std::string_view text(detail.log.data(),
                              std::min<std::size_t>(detail.log_bytes, detail.log.size()));
  auto lines = json::array();
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(valid_text(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return lines;
}

std::string_view threads_of(const IncidentDetail& detail) {
  return {detail.threads.data(),
          std::min<std::size_t>(detail.threads_bytes, detail.threads.size())};
}

json hang_of(const IncidentRecord& record) {
  if (record.hang == 0) return nullptr;
  return {{"verdict", to_string(static_cast<Hang>(record.hang))},
          {"thread", record.hang_thread},
          {"cpu_percent", record.hang_cpu_percent}};
}

json microseconds(std::uint64_t from, std::uint64_t to) {
  if (from == 0 || to < from) return nullptr;
  return static_cast<double>(to - from) / 1e3;
}

}  // namespace

json Incidents::render(const IncidentRecord& record) const {
  static constexpr std::array stages{"open", "closed", "given_up"};
  const std::uint64_t start = record.t0_ns != 0 ? record.t0_ns : record.died_ns;
  const ExitCause cause{static_cast<ExitKind>(record.cause_kind), record.cause_code,
                        record.died_ns};
  json incident{
      {"number", record.number},
      {"name", valid_text({record.name.data(), ::strnlen(record.name.data(), record.name.size())})},
      {"pid", record.pid},
      {"generation", record.generation},
      {"cause", cause_of(record)},
      {"words", words(record)},
      {"exit", render_exit(cause)},
      {"state", stages[std::min<std::size_t>(record.stage, stages.size() - 1)]},
      {"died_ns", record.died_ns},
      {"detected_us", record.t0_ns != 0 ? microseconds(record.t0_ns, record.told_ns) : json()},
      {"spawned_us", microseconds(start, record.spawned_ns)},
      {"ready_us", microseconds(start, record.ready_ns)},
      {"hang", hang_of(record)},
      {"core_dumped", record.core_dumped != 0},
      {"user_us", record.user_us},
      {"system_us", record.system_us},
      {"max_rss_kib", record.max_rss_kib}};
  const auto* const detail = store_.detail(record.number);
  json report{{"backtrace", json::array()}, {"last_logs", json::array()}, {"crash", nullptr}};
  if (detail != nullptr) report["last_logs"] = last_lines(*detail);
  report.update(expand_threads(detail != nullptr ? threads_of(*detail) : ""));
  if (const auto* const page = report_of(record)) report["crash"] = crash_of(*page);
  report["kept"] = detail != nullptr;
  incident["report"] = std::move(report);
  return incident;
}

json Incidents::page(std::uint64_t since) const {
  auto list = json::array();
  std::size_t details = 0;
  std::uint64_t number = std::max(since, store_.oldest());
  for (; number < store_.next(); ++number) {
    const auto* const record = store_.find(number);
    if (record == nullptr) continue;
    if (list.size() == incidents_per_answer || details == details_per_answer) break;
    list.push_back(render(*record));
    if (store_.detail(number) != nullptr) ++details;
  }
  return {{"incidents", std::move(list)}, {"next", number}, {"complete", number >= store_.next()}};
}

}  // namespace bulkhead::supervisor
