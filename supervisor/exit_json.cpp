#include "supervisor/exit_json.hpp"

#include <string.h>  // sigabbrev_np

#include <array>
#include <nlohmann/json.hpp>
#include <string>

namespace bulkhead::supervisor {

std::string_view signal_name(int signal) noexcept {
  static const auto names = [] {
    std::array<std::string, 65> table;
    for (int i = 1; i < 65; ++i) {
      const char* name = ::sigabbrev_np(i);
      table[static_cast<std::size_t>(i)] = name != nullptr ? std::string("SIG") + name : "?";
    }
    return table;
  }();
  return signal > 0 && signal < 65 ? std::string_view(names[static_cast<std::size_t>(signal)])
                                   : "?";
}

nlohmann::json render_exit(const ExitCause& cause) {
  if (cause.kind == ExitKind::none) return nullptr;
  nlohmann::json exit{{"kind", to_string(cause.kind)}, {"code", cause.code}, {"t_ns", cause.at}};
  const bool by_signal = cause.kind == ExitKind::signal || cause.kind == ExitKind::watchdog ||
                         cause.kind == ExitKind::lease || cause.kind == ExitKind::oom;
  if (by_signal) exit["signal"] = signal_name(cause.code);
  if (cause.kind == ExitKind::exec_failed) exit["error"] = ::strerror(cause.code);
  return exit;
}

}  // namespace bulkhead::supervisor
