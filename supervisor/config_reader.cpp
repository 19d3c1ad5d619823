// How each kind of value is read, and what is said when it is none.
#include "supervisor/config_reader.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>

#include "base/nearest.hpp"
#include "base/units.hpp"

namespace bulkhead::supervisor {

using json_source::in_quotes;
using json_source::Member;
using json_source::Position;
using Type = json_source::Value::Type;

void Issues::add(Position at, std::string pointer, std::string what) {
  found_.push_back({at.line, at.column, std::move(pointer), std::move(what)});
}

std::vector<ConfigIssue> Issues::sorted() const {
  const auto place = [](const ConfigIssue& i) {
    return std::tie(i.line, i.column, i.pointer, i.what);
  };
  auto issues = found_;
  std::stable_sort(issues.begin(), issues.end(), [](const ConfigIssue& a, const ConfigIssue& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  const auto same = [&](const ConfigIssue& a, const ConfigIssue& b) {
    return place(a) == place(b);
  };
  issues.erase(std::unique(issues.begin(), issues.end(), same), issues.end());
  return issues;
}

std::string describe(const json_source::Value& value) {
  switch (value.type) {
    case Type::invalid: return "this";
    case Type::null: return "null";
    case Type::boolean: return value.boolean ? "true" : "false";
    case Type::number: return value.text.size() <= 40 ? value.text : value.text.substr(0, 40) + "…";
    case Type::string: return in_quotes(value.text);
    case Type::array: return "an array";
    case Type::object: return "an object";
  }
  return "this";
}

std::string choices_text(std::span<const std::string_view> choices) {
  std::string text;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (i != 0) text += i + 1 == choices.size() ? " or " : ", ";
    text += in_quotes(choices[i]);
  }
  return text;
}

// "250 is no string (expected …)"
void At::wrong_type(std::string_view kind, std::string_view expected) const {
  if (value->type == Type::invalid) return;
  wrong(describe(*value) + " is no " + std::string(kind) + " (" + std::string(expected) + ")");
}

At At::element(std::size_t index) const {
  return {&value->elements[index], pointer + "/" + std::to_string(index), issues};
}

At At::member(const Member& member) const {
  return {&member.value, json_source::pointer_to(pointer, member.key), issues};
}

ObjectAt::ObjectAt(At at, std::span<const Key> keys, std::string_view expected)
    : at_(std::move(at)) {
  if (at_.value->type != Type::object) at_.wrong_type("object", expected);
  for (const Member& member : at_.value->members) {
    const auto known = std::find_if(keys.begin(), keys.end(),
                                    [&](const Key& key) { return key.name == member.key; });
    if (known == keys.end()) {
      if (!json_source::is_foreign(member.key)) report_unknown(member, keys);
    }
  }
}

void ObjectAt::report_unknown(const Member& member, std::span<const Key> keys) const {
  std::vector<std::string_view> names;
  for (const Key& key : keys) names.push_back(key.name);
  const auto near = base::nearest(member.key, names);
  std::string remedy;
  if (near) {
    remedy = "did you mean " + in_quotes(*near) + "?";
  } else {
    for (const auto name : names) remedy += (remedy.empty() ? "known: " : ", ") + std::string(name);
  }
  at_.issues->add(member.at, at_.member(member).pointer,
                  "unknown key " + in_quotes(member.key) + " (" + remedy + ")");
}

std::optional<At> ObjectAt::find(std::string_view key) const {
  const Member* member = at_.value->find(key);
  if (member == nullptr) return std::nullopt;
  return at_.member(*member);
}

void ObjectAt::missing(std::string_view key, std::string_view expected) const {
  if (at_.value->type != Type::object) return;
  at_.issues->add(at_.value->at, json_source::pointer_to(at_.pointer, key),
                  in_quotes(key) + " is missing (" + std::string(expected) + ")");
}

void ObjectAt::wrong_at_key(std::string_view key, std::string what) const {
  const Member* member = at_.value->find(key);
  if (member != nullptr) at_.issues->add(member->at, at_.member(*member).pointer, std::move(what));
}

std::vector<Entry> entries(const At& at) {
  std::vector<Entry> found;
  if (at.value->type != Type::object) {
    at.wrong_type("object", "expected an object, {…}");
    return found;
  }
  std::set<std::string_view> seen;
  for (const Member& member : at.value->members) {
    if (seen.insert(member.key).second) {
      found.push_back({member.key, member.at, at.member(member)});
    } else if (json_source::is_foreign(member.key)) {  // elsewhere; any other has been reported
      at.issues->add(member.at, at.member(member).pointer,
                     "duplicate key " + in_quotes(member.key) + " (remove one)");
    }
  }
  return found;
}

std::vector<At> elements(const At& at, std::string_view expected) {
  std::vector<At> found;
  if (at.value->type != Type::array) at.wrong_type("array", expected);
  for (std::size_t i = 0; i < at.value->elements.size(); ++i) found.push_back(at.element(i));
  return found;
}

std::optional<std::string> read_text(const At& at, std::string_view expected) {
  const auto& value = *at.value;
  if (value.type == Type::string) {
    if (value.text.find('\0') == std::string::npos) return value.text;
    at.wrong(in_quotes(value.text) + " contains a NUL character (expected text without)");
  } else if (value.type == Type::number || value.type == Type::boolean) {
    at.wrong_type("string", "write " + in_quotes(describe(value)));
  } else {
    at.wrong_type("string", "expected " + std::string(expected));
  }
  return std::nullopt;
}

std::optional<bool> read_boolean(const At& at) {
  if (at.value->type == Type::boolean) return at.value->boolean;
  const auto& text = at.value->text;
  const bool meant_true = text == "yes" || text == "true" || text == "on" || text == "1";
  const bool meant_false = text == "no" || text == "false" || text == "off" || text == "0";
  at.wrong_type("boolean", meant_true    ? "write true"
                           : meant_false ? "write false"
                                         : "expected true or false");
  return std::nullopt;
}

std::optional<std::uint64_t> read_integer(const At& at, std::uint64_t min, std::uint64_t max) {
  const std::string range =
      "expected a whole number from " + std::to_string(min) + " to " + std::to_string(max);
  if (at.value->type != Type::number) {
    at.wrong_type("number", range);
    return std::nullopt;
  }
  const std::string& text = at.value->text;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = text.find_first_not_of("-0123456789") == std::string::npos;
  if (error == std::errc{} && end == text.data() + text.size() && number >= min && number <= max) {
    return number;
  }
  at.wrong(describe(*at.value) + (whole ? " is out of range (" : " is no whole number (") + range +
           ")");
  return std::nullopt;
}

namespace {

std::string plain(double number) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return {text.data(), end};
}

// A bare number where a unit is needed, with what was probably meant; true when it was one.
bool lacks_unit(const At& at, std::string_view kind, std::string_view example,
                const std::string& meant) {
  if (at.value->type != Type::number) return false;
  const bool simple = at.value->text.find_first_not_of("0123456789.") == std::string::npos;
  if (simple) {
    at.wrong(describe(*at.value) + " has no unit (write " + in_quotes(meant) + ")");
  } else {
    at.wrong_type(kind, "expected one such as " + in_quotes(example));
  }
  return true;
}

std::string in_bytes(const std::string& number) {
  const auto size = base::parse_size(number + "B");
  return size ? base::format_size(*size) : number + "B";
}

}  // namespace

std::optional<double> read_number(const At& at, double min, double max) {
  const std::string range = "expected a number from " + plain(min) + " to " + plain(max);
  if (at.value->type != Type::number) {
    at.wrong_type("number", range);
    return std::nullopt;
  }
  const std::string& text = at.value->text;
  double number = 0;  // what is too small for a double is left at 0
  std::from_chars(text.data(), text.data() + text.size(), number);
  if (number >= min && number <= max) return number;
  at.wrong(describe(*at.value) + " is out of range (" + range + ")");
  return std::nullopt;
}

std::optional<Duration> read_duration(const At& at, Duration min, Duration max) {
  if (lacks_unit(at, "duration", "250ms", at.value->text + "ms")) return std::nullopt;
  if (at.value->type != Type::string) {
    at.wrong_type("duration", "expected one such as \"250ms\"");
    return std::nullopt;
  }
  const auto duration = base::parse_duration(at.value->text);
  if (!duration) {
    at.wrong(json_source::printable(duration.error().context));
  } else if (*duration < min || *duration > max) {
    at.wrong(in_quotes(at.value->text) + " is out of range (expected a duration from \"" +
             base::format_duration(min) + "\" to \"" + base::format_duration(max) + "\")");
  } else {
    return *duration;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> read_size(const At& at, std::uint64_t min, std::uint64_t max) {
  if (lacks_unit(at, "size", "64KiB", in_bytes(at.value->text))) return std::nullopt;
  if (at.value->type != Type::string) {
    at.wrong_type("size", "expected one such as \"64KiB\"");
    return std::nullopt;
  }
  const auto size = base::parse_size(at.value->text);
  if (!size) {
    at.wrong(json_source::printable(size.error().context));
  } else if (*size < min || *size > max) {
    at.wrong(in_quotes(at.value->text) + " is out of range (expected a size from \"" +
             base::format_size(min) + "\" to \"" + base::format_size(max) + "\")");
  } else {
    return *size;
  }
  return std::nullopt;
}

bool read_none(const At& at, std::string_view expected) {
  if (at.value->type == Type::string && at.value->text == "none") return true;
  if (at.value->type == Type::string) {
    at.wrong("unknown value " + in_quotes(at.value->text) + " (" + std::string(expected) + ")");
  } else if (at.value->type != Type::object) {
    at.wrong_type("object", expected);
  }
  return false;
}

std::optional<std::size_t> read_choice(const At& at, std::span<const std::string_view> choices) {
  if (at.value->type != Type::string) {
    at.wrong_type("string", "expected " + choices_text(choices));
    return std::nullopt;
  }
  const auto found = std::find(choices.begin(), choices.end(), at.value->text);
  if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
  const auto near = base::nearest(at.value->text, {choices.begin(), choices.end()});
  at.wrong("unknown value " + in_quotes(at.value->text) + " (" +
           (near ? "did you mean " + in_quotes(*near) + "? " : "") + "expected " +
           choices_text(choices) + ")");
  return std::nullopt;
}

bool is_name(std::string_view text) noexcept {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !text.empty() && text.size() <= name_bytes_max &&
         std::all_of(text.begin(), text.end(), is_allowed);
}

void check_name(Position position, const At& at, std::string_view name, std::string_view of_what) {
  if (is_name(name)) return;
  at.issues->add(position, at.pointer,
                 in_quotes(name) + " is no name for " + std::string(of_what) +
                     " (expected 1 to 63 of A-Z a-z 0-9 _ -)");
}

}  // namespace bulkhead::supervisor
