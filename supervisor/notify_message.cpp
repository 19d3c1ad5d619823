#include "supervisor/notify_message.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

namespace bulkhead::supervisor {
namespace {

constexpr TimeNs ns_per_us = 1000;
constexpr std::uint64_t us_never = ~std::uint64_t{0};
// As in a config; below, a supervisor on a busy machine would kill what is well.
constexpr std::uint64_t watchdog_us_min = 10'000, time_us_max = std::uint64_t{86'400} * 1'000'000;

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

// What fdname_is_valid() of systemd allows, and a tag has room for.
bool is_descriptor_name(std::string_view name) {
  return !name.empty() && name.size() <= stored_name_max &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return c >= ' ' && c < 127 && c != ':'; });
}

// Length of the UTF-8 character that begins here; 0 when none does (RFC 3629).
std::size_t character_at(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool surrogate = first == 0xED && byte(1) >= 0xA0;
  const bool too_far = first == 0xF4 && byte(1) >= 0x90;
  return overlong || surrogate || too_far ? 0 : length;
}

class Assignments {
 public:
  explicit Assignments(NotifyMessage& into) : into_(into) {}

  void take(std::string_view name, std::string_view value) {
    if (!seen_.emplace(name).second) return;
    if (take_flag(name, value) || take_time(name, value)) return;
    if (name == "STATUS") {
      into_.status = printable(value, notify_status_max);
    } else if (name == "WATCHDOG") {
      into_.alive = value == "1";
      into_.gives_up = value == "trigger";
      if (!into_.alive && !into_.gives_up) wrong(name, value, "1 or trigger");
    } else if (name == "FDNAME") {
      if (is_descriptor_name(value)) {
        into_.store_name = value;
      } else {
        wrong(name, value, "1 to 128 printable ASCII characters without ':'");
      }
    } else if (name == "FDPOLL") {
      if (value != "0") return wrong(name, value, "0");
      into_.polled = false;
    } else if (name == "MAINPID" || name == "ERRNO") {
      take_number(name, value);
    }
  }

 private:
  bool take_flag(std::string_view name, std::string_view value) {
    const std::pair<std::string_view, bool*> flags[] = {
        {"READY", &into_.ready},       {"RELOADING", &into_.reloading},
        {"STOPPING", &into_.stopping}, {"BARRIER", &into_.barrier},
        {"FDSTORE", &into_.store},     {"FDSTOREREMOVE", &into_.unstore}};
    for (const auto& [known, flag] : flags) {
      if (name != known) continue;
      *flag = value == "1";
      if (!*flag) wrong(name, value, "1");
      return true;
    }
    return false;
  }

  bool take_time(std::string_view name, std::string_view value) {
    const bool watchdog = name == "WATCHDOG_USEC";
    if (!watchdog && name != "EXTEND_TIMEOUT_USEC") return false;
    const auto us = number_of(value);
    if (watchdog && us && (*us == 0 || *us == us_never)) {
      into_.watchdog_timeout = time_never;
    } else if (!us || *us > time_us_max || *us < (watchdog ? watchdog_us_min : 1)) {
      wrong(name, value,
            watchdog ? "microseconds from 10000 (10 ms) to 86400000000 (24 h), or 0"
                     : "microseconds from 1 to 86400000000 (24 h)");
    } else {
      (watchdog ? into_.watchdog_timeout : into_.more_time) = *us * ns_per_us;
    }
    return true;
  }

  void take_number(std::string_view name, std::string_view value) {
    const auto number = number_of(value);
    const bool is_pid = name == "MAINPID";
    if (!number || *number > std::numeric_limits<std::int32_t>::max() || *number == 0) {
      return wrong(name, value, is_pid ? "the number of a process" : "a number of errno(3)");
    }
    (is_pid ? into_.main_pid : into_.error_number) = static_cast<std::int32_t>(*number);
  }

  void wrong(std::string_view name, std::string_view value, std::string_view expected) {
    into_.complaints.push_back(std::string(name) + "=" + printable(value, 40) + " (expected " +
                               std::string(expected) + ")");
  }

  NotifyMessage& into_;
  std::set<std::string_view> seen_;
};

}  // namespace

std::string printable(std::string_view text, std::size_t bytes_max) {
  std::string shown;
  while (!text.empty()) {
    const std::size_t length = character_at(text);
    const bool control = length == 1 && (text[0] < ' ' || text[0] == 127);
    const std::string_view next = length == 0 || control ? "?" : text.substr(0, length);
    if (shown.size() + next.size() > bytes_max) break;
    shown += next;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return shown;
}

NotifyMessage parse_notify(std::string_view text) {
  NotifyMessage message;
  Assignments assignments(message);
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto equals = line.find('=');
    if (equals != line.npos) assignments.take(line.substr(0, equals), line.substr(equals + 1));
  }
  return message;
}

}  // namespace bulkhead::supervisor
