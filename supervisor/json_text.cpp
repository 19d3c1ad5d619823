// Writing: JSON text, pointers, and strings that are safe to put into a message.
#include <cstdio>

#include "supervisor/json_source.hpp"

namespace bulkhead::supervisor::json_source {
namespace {

constexpr std::size_t quote_bytes_max = 80;

void append_escaped_control(std::string& out, unsigned char byte) {
  char escape[8];
  std::snprintf(escape, sizeof escape, "\\u%04x", byte);
  out += escape;
}

bool is_control(unsigned char byte) { return byte < 0x20 || byte == 0x7f; }

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (is_control(byte)) {
      append_escaped_control(out, byte);
    } else {
      out += c;
    }
  }
  out += '"';
}

void append(std::string& out, const Value& value) {  // as deep as read() allowed, at most
  const char* separator = "";
  switch (value.type) {
    case Value::Type::invalid:
    case Value::Type::null: out += "null"; break;
    case Value::Type::boolean: out += value.boolean ? "true" : "false"; break;
    case Value::Type::number: out += value.text; break;
    case Value::Type::string: append_string(out, value.text); break;
    case Value::Type::array:
      out += '[';
      for (const Value& element : value.elements) {
        out += separator;
        append(out, element);
        separator = ",";
      }
      out += ']';
      break;
    case Value::Type::object:
      out += '{';
      for (const Member& member : value.members) {
        out += separator;
        append_string(out, member.key);
        out += ':';
        append(out, member.value);
        separator = ",";
      }
      out += '}';
      break;
  }
}

}  // namespace

const Member* Value::find(std::string_view key) const noexcept {
  for (const Member& member : members) {
    if (member.key == key) return &member;
  }
  return nullptr;
}

std::string to_text(const Value& value) {
  std::string out;
  append(out, value);
  return out;
}

std::string pointer_to(const std::string& parent, std::string_view key) {
  std::string pointer = parent + "/";
  for (const char c : key) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
  return pointer;
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_control(static_cast<unsigned char>(c))) {
      append_escaped_control(out, static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  std::string out;
  if (text.size() <= quote_bytes_max) {
    append_string(out, text);
    return out;
  }
  std::size_t end = quote_bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U)
    --end;  // whole characters
  append_string(out, text.substr(0, end));
  return out + "…";
}

}  // namespace bulkhead::supervisor::json_source
