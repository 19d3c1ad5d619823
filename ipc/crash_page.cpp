#include "ipc/crash_page.hpp"

#include <signal.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace bulkhead::ipc {
namespace {

constexpr int from_the_kernel = 0x80;  // SI_KERNEL

std::string_view doing(std::uint32_t access) {
  switch (static_cast<CrashAccess>(access)) {
    case CrashAccess::read: return "reading";
    case CrashAccess::write: return "writing";
    case CrashAccess::execute: return "executing";
    case CrashAccess::unknown: break;
  }
  return "at";
}

std::string at_fault(const CrashPage& page) {
  const std::string name = name_of_signal(page.signal);
  const std::string at = hexadecimal(page.address);
  switch (page.signal) {
    case SIGSEGV:
      if (page.code == from_the_kernel) return name + ": an address that cannot exist";
      [[fallthrough]];
    case SIGBUS:
      return name + " " + std::string(doing(page.access)) + " " + at +
             (page.stack_overflow != 0 ? " (stack overflow)" : "");
    case SIGFPE:
      return page.code == FPE_INTDIV ? name + ": integer division by zero" : name + " at " + at;
    case SIGILL: return name + ": an instruction that does not exist, at " + at;
    default: return name;
  }
}

}  // namespace

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%" PRIx64, value);
  return text.data();
}

std::string name_of_signal(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

std::optional<CrashPage> check_crash_page(const CrashPage& as_found, std::uint32_t generation) {
  CrashPage page = as_found;
  const bool is_ours = page.magic == CrashPage::magic_value &&
                       page.version == CrashPage::version_value && page.generation == generation;
  const bool is_begun = page.stage >= static_cast<std::uint32_t>(CrashStage::cause) &&
                        page.stage <= static_cast<std::uint32_t>(CrashStage::whole);
  if (!is_ours || !is_begun) return std::nullopt;
  page.frame_count =
      std::min<std::uint32_t>(page.frame_count, static_cast<std::uint32_t>(crash_frames_max));
  page.module_count =
      std::min<std::uint32_t>(page.module_count, static_cast<std::uint32_t>(crash_modules_max));
  const auto end = [](auto& text) { text[sizeof text - 1] = '\0'; };
  end(page.thread_name);
  end(page.exception_type);
  end(page.exception_what);
  for (auto& module : page.modules) {
    end(module.path);
    module.build_id_bytes = std::min<std::uint8_t>(module.build_id_bytes,
                                                   static_cast<std::uint8_t>(build_id_bytes_max));
  }
  return page;
}

std::string crash_in_words(const CrashPage& page, pid_t of) {
  if (page.signal == SIGABRT && page.has_exception != 0) {
    const std::string what = page.exception_what;
    return std::string("abort: uncaught ") + page.exception_type +
           (what.empty() ? "" : ": " + what);
  }
  const bool was_sent = page.code <= 0;
  if (!was_sent) return at_fault(page);
  if (page.sender != of && page.sender != 0) {
    return name_of_signal(page.signal) + " from pid " + std::to_string(page.sender);
  }
  return page.signal == SIGABRT ? "abort" : name_of_signal(page.signal) + " from itself";
}

}  // namespace bulkhead::ipc
