// The characters of a JSON text: where we are in it, what to skip, and the tokens that are not
// brackets. Used by json_source.cpp alone; knows nothing of objects and arrays.
#pragma once

#include <string>
#include <string_view>

#include "supervisor/json_source.hpp"

namespace bulkhead::supervisor::json_source {

class Scan {
 public:
  // Reports what is no text (NUL, bytes that are not UTF-8, a byte order mark) and reads on with a
  // stand-in of the same size.
  Scan(std::string_view text, std::vector<Problem>& problems);

  void skip_space();  // and comments
  bool at_end() const noexcept { return next_ == text_.size(); }
  char peek() const noexcept { return at_end() ? '\0' : text_[next_]; }
  Position here() const noexcept { return {line_, next_ - line_start_ + 1}; }
  void advance() noexcept;
  bool take(char c) noexcept;  // skips c if it is next

  // Each begins at the token's first character. A false or invalid result has been reported.
  bool read_string(std::string& into);  // also 'so', which is reported
  std::string read_word();              // what numbers, literals and forgotten quotes are made of
  bool at_word() const noexcept;

  void report(Position, std::string what);
  void give_up() noexcept { gave_up_ = true; }
  bool gave_up() const noexcept { return gave_up_; }
  std::string shown() const;  // the next character, for a message

  std::string pointer;  // of the value that is being read

 private:
  void replace_what_is_no_text();
  void skip_line() noexcept;
  void skip_block_comment();
  void read_escape(std::string& into);
  bool read_code_unit(unsigned& unit);

  std::string text_;
  std::size_t next_ = 0, line_ = 1, line_start_ = 0;
  bool gave_up_ = false;
  std::vector<Problem>& problems_;
};

}  // namespace bulkhead::supervisor::json_source
