// A quantity is read exactly, in integers: a double would turn "0.1s" into something that is not
// written back as "100ms".
#include "base/units.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <optional>
#include <span>

namespace bulkhead::base {
namespace {

// Wide enough for any digits of a fraction times any unit.
__extension__ typedef unsigned __int128 Wide;

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Ascending; the first is the base.
constexpr std::array<Unit, 7> duration_units{{{"ns", 1},
                                              {"us", 1'000},
                                              {"ms", 1'000'000},
                                              {"s", 1'000'000'000},
                                              {"m", 60'000'000'000},
                                              {"h", 3'600'000'000'000},
                                              {"d", 86'400'000'000'000}}};
constexpr std::array<Unit, 5> size_units{{{"B", 1},
                                          {"KiB", std::uint64_t{1} << 10},
                                          {"MiB", std::uint64_t{1} << 20},
                                          {"GiB", std::uint64_t{1} << 30},
                                          {"TiB", std::uint64_t{1} << 40}}};

struct Quantity {
  std::string_view what, example,
      bare_unit;  // bare_unit: what a number without unit may have meant
  std::string_view range;
  std::span<const Unit> units;
};
constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
constexpr Quantity duration{"duration", "250ms", "ms", "whole ns, at most 106751d", duration_units};
constexpr Quantity size{"size", "64KiB", "B", "whole bytes, at most 8388607TiB", size_units};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t digits_at(std::string_view text, std::size_t from) {
  std::size_t end = from;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - from;
}

std::string unit_names(const Quantity& quantity) {
  std::string names;
  for (const Unit& unit : quantity.units) {
    names += (names.empty() ? "" : ", ") + std::string(unit.name);
  }
  return names;
}

// What a person meant by "KB", "sec" or "MS": the unit to suggest.
std::string_view meant(const Quantity& quantity, std::string_view written) {
  for (const Unit& unit : quantity.units) {
    if (!written.empty() && std::tolower(static_cast<unsigned char>(written[0])) ==
                                std::tolower(static_cast<unsigned char>(unit.name[0]))) {
      const bool milli = written.size() > 1 && (written[1] == 's' || written[1] == 'S');
      if (unit.name == "m" && milli) return "ms";
      if (unit.name == "ms" && !milli) continue;
      return unit.name;
    }
  }
  return quantity.bare_unit;
}

// whole.fraction * factor; nullopt when that is too much or not a whole number of base units.
std::optional<std::uint64_t> scaled(std::string_view whole, std::string_view fraction,
                                    const Unit& unit) {
  std::uint64_t value = 0;
  const auto add = [&](Wide more) {
    if (more > most - value) return false;
    value += static_cast<std::uint64_t>(more);
    return true;
  };
  std::uint64_t count = 0;
  for (const char c : whole) {
    if (count > most / 10) return std::nullopt;
    count = count * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (!add(Wide{count} * unit.factor)) return std::nullopt;
  while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
  if (fraction.size() > 18) return std::nullopt;
  Wide part = 0, scale = 1;
  for (const char c : fraction) {
    part = part * 10 + static_cast<Wide>(c - '0');
    scale *= 10;
  }
  part *= unit.factor;
  if (part % scale != 0 || !add(part / scale)) return std::nullopt;
  return value;
}

Error invalid(std::string context) {
  return make_error(Errc::invalid_argument, std::move(context));
}

Result<std::uint64_t> parse(std::string_view text, const Quantity& quantity) {
  const std::string what(quantity.what);
  const std::string quoted = "\"" + std::string(text) + "\"";
  const std::string example = "(write one such as \"" + std::string(quantity.example) + "\")";
  const std::size_t whole_size = digits_at(text, 0);
  if (whole_size == 0) {
    const bool negative = !text.empty() && text[0] == '-';
    return invalid(quoted +
                   (negative ? " is negative; a " + what + " is not " : " is not a " + what + " ") +
                   example);
  }
  const std::string_view whole = text.substr(0, whole_size);
  std::string_view unit_name = text.substr(whole_size), fraction;
  if (unit_name.size() > 1 && unit_name[0] == '.' && is_digit(unit_name[1])) {
    fraction = unit_name.substr(1, digits_at(unit_name, 1));
    unit_name.remove_prefix(1 + fraction.size());
  }
  const std::string number(text.substr(0, text.size() - unit_name.size()));
  const auto unit = std::find_if(quantity.units.begin(), quantity.units.end(),
                                 [&](const Unit& known) { return known.name == unit_name; });
  if (unit != quantity.units.end()) {
    if (const auto value = scaled(whole, fraction, *unit)) return *value;
    return invalid(quoted + " is too large or too fine for a " + what + " (expected " +
                   std::string(quantity.range) + ")");
  }
  const bool spaced = !unit_name.empty() && unit_name[0] == ' ';
  while (!unit_name.empty() && unit_name[0] == ' ') unit_name.remove_prefix(1);
  std::string wrong = " has no unit";
  if (!unit_name.empty()) wrong = " has the unknown unit \"" + std::string(unit_name) + "\"";
  if (spaced) wrong = " has a space in it";
  return invalid(quoted + wrong + " (write \"" + number + std::string(meant(quantity, unit_name)) +
                 "\"; units: " + unit_names(quantity) + ")");
}

std::string format(std::uint64_t value, const Quantity& quantity, std::string_view zero) {
  if (value == 0) return std::string(zero);
  const Unit* best = &quantity.units.front();
  for (const Unit& unit : quantity.units) {
    if (value % unit.factor == 0) best = &unit;
  }
  return std::to_string(value / best->factor) + std::string(best->name);
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const auto value = parse(text, duration);
  if (!value) return value.error();
  return std::chrono::nanoseconds(static_cast<std::int64_t>(*value));
}

Result<std::uint64_t> parse_size(std::string_view text) { return parse(text, size); }

std::string format_duration(std::chrono::nanoseconds value) {
  const bool negative = value.count() < 0;
  const auto magnitude = negative ? ~static_cast<std::uint64_t>(value.count()) + 1
                                  : static_cast<std::uint64_t>(value.count());
  return (negative ? "-" : "") + format(magnitude, duration, "0ms");
}

std::string format_size(std::uint64_t bytes) { return format(bytes, size, "0B"); }

}  // namespace bulkhead::base
