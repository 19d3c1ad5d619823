#include "supervisor/incident_words.hpp"

#include <signal.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/units.hpp"
#include "supervisor/core.hpp"
#include "supervisor/sandbox_calls.hpp"
#include "supervisor/thread_look.hpp"

namespace bulkhead::supervisor {
namespace {

using incident_layout::Record;

using ipc::name_of_signal;

std::string crash_in_words(const Record& record, const ipc::CrashPage& page) {
  if (page.signal == SIGSYS && page.code > 0) {
    return "SIGSYS: " + name_of_call(page.address) + " is not permitted (see \"sandbox\")";
  }
  return valid_text(ipc::crash_in_words(page, record.pid));
}

std::string by_signal(const Record& record, const ipc::CrashPage* report) {
  std::string words = report != nullptr ? crash_in_words(record, *report)
                                        : "killed by " + name_of_signal(record.cause_code);
  if (record.killer != 0) {
    words = "killed by " + name_of_signal(record.cause_code) + " from pid " +
            std::to_string(record.killer) + " (bulkhead kill)";
  }
  return words + (record.core_dumped != 0 ? ", core dumped" : "");
}

std::string for_want_of_memory(const Record& record, const ipc::CrashPage* report) {
  const std::string limit = base::format_size(record.memory_limit);
  if (report != nullptr) {
    return "out of memory: " + crash_in_words(record, *report) +
           (record.memory_limit != 0 ? " (its limit is " + limit + ")" : "");
  }
  if (record.oom_kills == 0) return "out of memory";
  return record.at_memory_limit != 0
             ? "out of memory: killed by the kernel at its limit of " + limit
             : std::string("out of memory: killed by the kernel, which was short of memory itself");
}

// Of one who died of something else, perhaps because of that.
std::string lost_children(const Record& record) {
  const bool is_told = record.cause_kind == static_cast<std::uint8_t>(ExitKind::oom);
  if (record.oom_kills == 0 || is_told) return "";
  const bool once = record.oom_kills == 1;
  return std::string("; before that the kernel killed ") +
         (once ? "one" : std::to_string(record.oom_kills)) +
         " of its processes for want of memory (its limit is " +
         base::format_size(record.memory_limit) + ")";
}

std::string hang_in_words(const Record& record) {
  const Verdict verdict{static_cast<Hang>(record.hang), record.hang_thread,
                        record.hang_cpu_percent};
  const std::string words = in_words(verdict, record.pid);
  return words.empty() ? "" : "; " + words;
}

std::string death_itself(const Record& record, const ipc::CrashPage* report) {
  switch (static_cast<ExitKind>(record.cause_kind)) {
    case ExitKind::exit: return "exited with code " + std::to_string(record.cause_code);
    case ExitKind::watchdog:
      return "killed by the watchdog: it did not beat in time" + hang_in_words(record);
    case ExitKind::lease:
      return "killed over a lease: it held a task for too long" + hang_in_words(record);
    case ExitKind::exec_failed:
      return std::string("could not be started: ") + std::strerror(record.cause_code);
    case ExitKind::oom: return for_want_of_memory(record, report);
    default: break;
  }
  if (record.killed_for == static_cast<std::uint8_t>(KilledFor::not_ready)) {
    return "killed because it was not ready in time";
  }
  return by_signal(record, report);
}

}  // namespace

std::string hexadecimal(std::uint64_t value) { return ipc::hexadecimal(value); }

std::string cause_of(const Record& record) {
  switch (static_cast<ExitKind>(record.cause_kind)) {
    case ExitKind::exit: return "exit " + std::to_string(record.cause_code);
    case ExitKind::signal:
      return record.killed_for == static_cast<std::uint8_t>(KilledFor::not_ready)
                 ? "not_ready"
                 : name_of_signal(record.cause_code);
    default: return std::string(to_string(static_cast<ExitKind>(record.cause_kind)));
  }
}

std::string death_in_words(const Record& record, const ipc::CrashPage* report) {
  return death_itself(record, report) + lost_children(record);
}

bool ran_out_of_memory(const ipc::CrashPage& page) {
  return page.signal == SIGABRT && page.has_exception != 0 &&
         std::string_view(page.exception_type) == "std::bad_alloc";
}

std::size_t beginning_of_last(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return 0;
  std::size_t begin = text.size() - bytes;
  const auto line_end = text.find('\n', begin - 1);
  if (line_end != std::string_view::npos && line_end + 1 < text.size()) return line_end + 1;
  while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) ++begin;
  return begin;
}

std::string valid_text(std::string_view text) {
  using nlohmann::json;
  const auto replaced =
      json(std::string(text)).dump(-1, ' ', false, json::error_handler_t::replace);
  return json::parse(replaced).get<std::string>();
}

}  // namespace bulkhead::supervisor
