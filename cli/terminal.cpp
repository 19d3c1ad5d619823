#include "cli/terminal.hpp"

#include <poll.h>
#include <unistd.h>
#include <bulkhead/error.hpp>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bulkhead::cli {
namespace {

const char* escape_of(Colour colour) noexcept {
  switch (colour) {
    case Colour::plain: return "";
    case Colour::red: return "\033[31m";
    case Colour::green: return "\033[32m";
    case Colour::yellow: return "\033[33m";
    case Colour::dim: return "\033[2m";
    case Colour::bold: return "\033[1m";
  }
  return "";
}

// Continuation bytes of UTF-8 take no place on the screen.
std::size_t width_of(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::string with_unit(double value, const char* unit) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), value < 10 ? "%.1f %s" : "%.0f %s", value, unit);
  return text.data();
}

std::string two_units(std::int64_t large, const char* large_unit, std::int64_t small,
                      const char* small_unit) {
  return std::to_string(large) + large_unit + " " + std::to_string(small) + small_unit;
}

}  // namespace

bool colours_wanted(int fd) {
  const char* refused = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(fd) == 1 && (refused == nullptr || *refused == '\0') &&
         (terminal == nullptr || std::strcmp(terminal, "dumb") != 0);
}

std::string painted(std::string_view text, Colour colour, bool colours) {
  if (!colours || colour == Colour::plain) return std::string(text);
  return escape_of(colour) + std::string(text) + "\033[0m";
}

bool wait_while_read(int fd, std::chrono::milliseconds patience) {
  std::array<pollfd, 2> ends{pollfd{fd, POLLIN, 0}, pollfd{STDOUT_FILENO, 0, 0}};
  ::poll(ends.data(), ends.size(), static_cast<int>(patience.count()));
  return (ends[1].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0;
}

namespace {

// What changes the direction of the text after it: U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069.
std::string_view bidi_control(std::string_view text) {
  if (text.size() < 3 || text[0] != '\xe2') return {};
  const auto second = static_cast<unsigned char>(text[1]),
             third = static_cast<unsigned char>(text[2]);
  const bool is_one =
      (second == 0x80 && (third == 0x8e || third == 0x8f || (third >= 0xaa && third <= 0xae))) ||
      (second == 0x81 && third >= 0xa6 && third <= 0xa9);
  return is_one ? text.substr(0, 3) : std::string_view();
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  const auto escape = [&](unsigned char code) {
    std::array<char, 8> shown{};
    std::snprintf(shown.data(), shown.size(), "\\x%02x", code);
    out += shown.data();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
    if (byte < 0x20 || byte == 0x7f) {
      escape(byte);
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      escape(static_cast<unsigned char>(next));  // U+0080 to U+009F: some terminals obey them, too
      ++i;
    } else if (const std::string_view turned = bidi_control(text.substr(i)); !turned.empty()) {
      for (const char part : turned) escape(static_cast<unsigned char>(part));
      i += turned.size() - 1;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string span_text(std::chrono::nanoseconds span) {
  const auto ns = span.count();
  const auto value = static_cast<double>(ns);
  if (ns < 1'000) return std::to_string(ns) + " ns";
  if (ns < 1'000'000) return with_unit(value / 1e3, "us");
  if (ns < 1'000'000'000) return with_unit(value / 1e6, "ms");
  if (ns < 60'000'000'000) return with_unit(value / 1e9, "s");
  const std::int64_t seconds = ns / 1'000'000'000;
  if (seconds < 3'600) return two_units(seconds / 60, "m", seconds % 60, "s");
  if (seconds < 86'400) return two_units(seconds / 3'600, "h", seconds / 60 % 60, "m");
  return two_units(seconds / 86'400, "d", seconds / 3'600 % 24, "h");
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return std::to_string(bytes) + " B";
  return with_unit(value, units[unit]);
}

std::string signal_text(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

void Table::add(std::vector<Cell> row) {
  BULKHEAD_ASSERT(row.size() == columns_.size());
  for (auto& cell : row) cell.text = printable(cell.text);
  rows_.push_back(std::move(row));
}

std::string Table::render(bool colours) const {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    std::size_t width = width_of(columns_[column].title);
    for (const auto& row : rows_) width = std::max(width, width_of(row[column].text));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](const std::vector<Cell>& row) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      const bool last = column + 1 == row.size();
      const bool right = columns_[column].align == Align::right;
      const std::string pad(widths[column] - width_of(row[column].text), ' ');
      if (right) out += pad;
      out += painted(row[column].text, row[column].colour, colours);
      if (!right && !last) out += pad;
      if (!last) out += "  ";
    }
    out += '\n';
  };
  std::vector<Cell> titles;
  for (const auto& column : columns_) titles.push_back({column.title, Colour::dim});
  line(titles);
  for (const auto& row : rows_) line(row);
  return out;
}

}  // namespace bulkhead::cli
