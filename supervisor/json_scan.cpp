// Characters, and what is no text at all.
#include "supervisor/json_scan.hpp"

#include <array>
#include <cctype>
#include <cstdint>
#include <cstdio>

namespace bulkhead::supervisor::json_source {
namespace {

// Bytes of the UTF-8 character at `text` (RFC 3629: shortest form, no surrogates), 0 when it is none.
std::size_t character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) > 0x9f) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return size;
}

void append_utf8(std::string& out, unsigned code_point) {
  const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3f));
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
}

std::string hex(unsigned value, int digits) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%0*x", digits, value);
  return text.data();
}

}  // namespace

Scan::Scan(std::string_view text, std::vector<Problem>& problems)
    : text_(text), problems_(problems) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
    report(here(), "the file is UTF-16 (save it as UTF-8)");
    give_up();
    return;
  }
  if (text.starts_with("\xef\xbb\xbf")) {
    report(here(), "the file begins with a byte order mark (save it as UTF-8 without BOM)");
    next_ = 3;
  }
  replace_what_is_no_text();
}

// Only the first of each kind is reported, with their number: a file in another encoding has many.
void Scan::replace_what_is_no_text() {
  struct Kind {
    std::size_t count = 0;
    Position first;
    unsigned char byte = 0;
  } nul, foreign;
  std::size_t line = 1, line_start = 0;
  for (std::size_t i = 0; i < text_.size();) {
    if (text_[i] == '\n') {
      ++line;
      line_start = i + 1;
    }
    const std::size_t size = character_size(std::string_view(text_).substr(i));
    if (size != 0 && text_[i] != '\0') {
      i += size;
      continue;
    }
    Kind& kind = size == 0 ? foreign : nul;
    if (kind.count++ == 0) {
      kind.first = {line, i - line_start + 1};
      kind.byte = static_cast<unsigned char>(text_[i]);
    }
    text_[i++] = size == 0 ? '?' : ' ';
  }
  const auto count = [](const Kind& kind) {
    return kind.count == 1 ? std::string() : "; there are " + std::to_string(kind.count);
  };
  if (nul.count != 0) report(nul.first, "NUL byte (expected text" + count(nul) + ")");
  if (foreign.count != 0) {
    report(foreign.first, "byte 0x" + hex(foreign.byte, 2) +
                              " is not UTF-8 (save the file as UTF-8" + count(foreign) + ")");
  }
}

void Scan::advance() noexcept {
  if (text_[next_++] == '\n') {
    ++line_;
    line_start_ = next_;
  }
}

bool Scan::take(char c) noexcept {
  if (at_end() || peek() != c) return false;
  advance();
  return true;
}

void Scan::report(Position at, std::string what) {
  problems_.push_back({at, pointer, std::move(what)});
}

std::string Scan::shown() const {
  if (at_end()) return "the end of the file";
  std::size_t size = character_size(std::string_view(text_).substr(next_));
  if (size == 0) size = 1;
  return "'" + printable(std::string_view(text_).substr(next_, size)) + "'";
}

void Scan::skip_line() noexcept {
  while (!at_end() && peek() != '\n') advance();
}

void Scan::skip_block_comment() {
  const Position start = here();
  const std::size_t end = text_.find("*/", next_ + 2);
  if (end == std::string::npos) {
    report(start, "the comment is not closed (expected */ before the end of the file)");
    return give_up();
  }
  while (next_ < end + 2) advance();
}

void Scan::skip_space() {
  while (!at_end() && !gave_up_) {
    const char c = peek();
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      advance();
    } else if (text_.compare(next_, 2, "//") == 0) {
      skip_line();
    } else if (text_.compare(next_, 2, "/*") == 0) {
      skip_block_comment();
    } else if (c == '#') {
      report(here(), "'#' begins no comment here (write // or /* */)");
      skip_line();
    } else {
      return;
    }
  }
}

bool Scan::at_word() const noexcept {
  if (at_end()) return false;
  const auto byte = static_cast<unsigned char>(peek());
  return std::isalnum(byte) != 0 || byte >= 0x80 || byte == '_' || byte == '+' || byte == '-' ||
         byte == '.' || byte == '$' || byte == '%';
}

std::string Scan::read_word() {
  std::string word;
  while (at_word()) {
    word += peek();
    advance();
  }
  return word;
}

bool Scan::read_code_unit(unsigned& unit) {
  unit = 0;
  for (int digit = 0; digit < 4; ++digit) {
    if (at_end() || std::isxdigit(static_cast<unsigned char>(peek())) == 0) return false;
    const char c = static_cast<char>(std::tolower(static_cast<unsigned char>(peek())));
    unit = unit * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    advance();
  }
  return true;
}

// The backslash has been taken.
void Scan::read_escape(std::string& into) {
  const Position at{line_, next_ - line_start_};
  static constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
  if (const auto known = names.find(peek()); !at_end() && known != std::string_view::npos) {
    into += meanings[known];
    return advance();
  }
  unsigned unit = 0, low = 0;
  if (!take('u')) {
    report(at, "unknown escape \\" +
                   (at_end() ? std::string() : printable(std::string(1, peek()))) +
                   R"( (expected \" \\ \/ \b \f \n \r \t or \u and four hex digits))");
    return;
  }
  if (!read_code_unit(unit))
    return report(at, R"(incomplete escape (expected \u and four hex digits))");
  if (unit >= 0xd800 && unit <= 0xdbff && text_.compare(next_, 2, "\\u") == 0) {
    next_ += 2;
    if (read_code_unit(low) && low >= 0xdc00 && low <= 0xdfff) {
      return append_utf8(into, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
    }
  }
  if (unit >= 0xd800 && unit <= 0xdfff) {
    return report(at, "half a surrogate pair: \\u" + hex(unit, 4) +
                          R"( (expected both halves, \ud83d\ude00, or the character itself))");
  }
  append_utf8(into, unit);
}

bool Scan::read_string(std::string& into) {
  const Position start = here();
  const char quote = peek();
  advance();
  while (!at_end() && peek() != '\n') {
    const char c = peek();
    const Position at = here();
    advance();
    if (c == quote) {
      if (quote == '\'')
        report(start, "strings take double quotes (write " + in_quotes(into) + ")");
      return true;
    }
    if (c == '\\') {
      read_escape(into);
    } else {
      if (static_cast<unsigned char>(c) < 0x20) {
        report(at, "control character in a string (write \\u" +
                       hex(static_cast<unsigned char>(c), 4) + ")");
      }
      into += c;
    }
  }
  report(start, std::string("the string is not closed (expected ") + quote +
                    " before the end of the line)");
  give_up();
  return false;
}

}  // namespace bulkhead::supervisor::json_source
