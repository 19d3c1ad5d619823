#include "cli/map_report.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/units.hpp"
#include "cli/terminal.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using pool::JobCause;

constexpr std::size_t named_max = 10;
constexpr std::size_t quoted_bytes_max = 100;

std::string quoted_input(const std::string& input) {
  const bool is_long = input.size() > quoted_bytes_max;
  return "\"" + printable(input.substr(0, quoted_bytes_max)) + (is_long ? "…\"" : "\"");
}

std::string hex_of(const std::string& bytes) {
  std::string text;
  for (const char byte : bytes) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned char>(byte));
    text += digits.data();
  }
  return text;
}

json row_of(const pool::JobReport& report) {
  const bool has_code = report.cause == JobCause::exit_code || report.cause == JobCause::done;
  const bool has_signal = report.cause == JobCause::signal;
  json row{{"index", report.index},
           {"input", report.input},
           {"attempts", report.attempts},
           {"cause", to_string(report.cause)},
           {"exit_code", has_code ? json(report.code) : json()},
           {"signal", has_signal ? json(signal_text(report.code)) : json()},
           {"duration_us",
            std::chrono::duration_cast<std::chrono::microseconds>(report.duration).count()},
           {"quarantined", report.quarantined()}};
  if (!report.reason.empty()) row["reason"] = report.reason;
  const std::string replaced = "\xef\xbf\xbd";  // U+FFFD, what json_line() puts for other bytes
  if (json_line(report.input).find(replaced) != std::string::npos) {
    row["input_hex"] = hex_of(report.input);
  }
  return row;
}

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string json_line(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string MapReport::why(const pool::JobReport& report) const {
  switch (report.cause) {
    case JobCause::exit_code: return "exit code " + std::to_string(report.code);
    case JobCause::signal: return signal_text(report.code);
    case JobCause::timeout: return "took longer than " + base::format_duration(wanted_.timeout);
    default: return report.reason;
  }
}

std::string MapReport::done(const pool::JobReport& report) {
  if (report.cause == JobCause::interrupted) ++interrupted_;
  if (wanted_.file != nullptr || (wanted_.list && report.quarantined())) {
    json row = row_of(report);
    if (wanted_.file != nullptr) {
      json typed = row;
      typed["type"] = "input";
      // Whoever kills us finds all that was done in the file.
      std::fputs(json_line(typed).c_str(), wanted_.file);
      std::fflush(wanted_.file);
    }
    if (wanted_.list && report.quarantined()) quarantined_.push_back(std::move(row));
  }
  if (!report.quarantined()) return "";
  const std::string name = quoted_input(report.input), reason = why(report);
  if (quarantined_count_++ < named_max) {
    named_ += (named_.empty() ? "" : ", ") + name + " (" + reason + ")";
  }
  const std::string attempts =
      report.attempts > 1 ? ", after " + std::to_string(report.attempts) + " attempts" : "";
  return "bulkhead: " + name + " failed: " + printable(reason) + attempts + "\n";
}

std::string MapReport::progress(const pool::JobsProgress& now) {
  std::string line = std::to_string(now.finished);
  if (now.inputs_ended) line += " of " + std::to_string(now.inputs);
  line += " done, " + std::to_string(now.running) + " running";
  if (now.quarantined > 0) line += ", " + std::to_string(now.quarantined) + " quarantined";
  if (now.inputs_ended && now.finished > 0 && now.finished < now.inputs) {
    const double each = static_cast<double>(elapsed().count()) / static_cast<double>(now.finished);
    const auto left =
        static_cast<std::int64_t>(each * static_cast<double>(now.inputs - now.finished));
    line += ", " + span_text(std::chrono::nanoseconds(left)) + " left";
  }
  return "\r\033[K" + line.substr(0, terminal_width() - 1);
}

json MapReport::summary(const pool::JobsSummary& all) const {
  return {
      {"type", "summary"},
      {"inputs", all.progress.inputs},
      {"succeeded", all.progress.finished - all.progress.quarantined},
      {"quarantined_count", all.progress.quarantined},
      {"quarantined", quarantined_},
      {"interrupted", interrupted_},
      {"attempts", all.attempts},
      {"stopped_by", all.stopped_by == 0 ? json() : json(signal_text(all.stopped_by))},
      {"duration_us", std::chrono::duration_cast<std::chrono::microseconds>(elapsed()).count()}};
}

std::string MapReport::quarantined_text() const {
  if (quarantined_count_ <= named_max) return named_;
  return named_ + " and " + std::to_string(quarantined_count_ - named_max) + " more";
}

}  // namespace bulkhead::cli
