// What a person sees: colours where there is a terminal, aligned tables, figures with units. Knows
// nothing of what is shown.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::cli {

enum class Colour { plain, red, green, yellow, dim, bold };

// On a terminal that can, unless NO_COLOR is set and not empty (https://no-color.org).
bool colours_wanted(int fd);
std::string painted(std::string_view text, Colour, bool colours);

// Waits until `fd` can be read, or `patience` is over; false when nobody reads our stdout any more, which
// a writer that has nothing to write would not notice.
bool wait_while_read(int fd, std::chrono::milliseconds patience);

// On one line and without effect on a terminal, whoever wrote the text: \n, \e and their like as \x0a, \x1b.
std::string printable(std::string_view text);

// "870 ns", "115 us", "1.9 ms", "3.2 s", "4m 7s", "3h 2m", "12d 4h".
std::string span_text(std::chrono::nanoseconds);
// "812 B", "12.3 MiB".
std::string bytes_text(std::uint64_t);
// "SIGKILL"; "signal 64" for one without a name.
std::string signal_text(int signal);

// Columns of printable text, as wide as their widest cell, two spaces apart; the last one is not padded.
class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  struct Cell {
    std::string text;
    Colour colour = Colour::plain;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Cell> row);  // a cell for each column
  bool empty() const noexcept { return rows_.empty(); }
  std::string render(bool colours) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace bulkhead::cli
