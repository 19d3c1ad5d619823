// Objects, arrays and what people get wrong about them. Recursive, at most nesting_max deep.
#include "supervisor/json_source.hpp"

#include <charconv>
#include <cmath>
#include <locale>
#include <map>
#include <sstream>

#include "supervisor/json_scan.hpp"

namespace bulkhead::supervisor::json_source {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_number(std::string_view word) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t from = i;
    while (i < word.size() && is_digit(word[i])) ++i;
    return i > from;
  };
  if (i < word.size() && word[i] == '-') ++i;
  const std::size_t whole = i;
  if (!digits() || (word[whole] == '0' && i - whole > 1)) return false;
  if (i < word.size() && word[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < word.size() && (word[i] == 'e' || word[i] == 'E')) {
    ++i;
    if (i < word.size() && (word[i] == '+' || word[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == word.size();
}

// Too small is read as zero; too large is what a reader of doubles refuses.
bool is_too_large(const std::string& number) {
  double value = 0;
  const auto end = number.data() + number.size();
  if (std::from_chars(number.data(), end, value).ec == std::errc{}) return false;
  std::istringstream stream(number);
  stream.imbue(std::locale::classic());
  stream >> value;
  return std::abs(value) > 1;  // the largest double stands for "more than that"
}

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::string place(Position at) { return std::to_string(at.line) + ":" + std::to_string(at.column); }

class Reader {
 public:
  Reader(std::string_view text, Document& document) : scan_(text, document.problems) {}

  bool read_document(Value& root) {
    if (scan_.gave_up()) return false;
    scan_.skip_space();
    if (scan_.at_end()) {
      if (!scan_.gave_up())
        scan_.report(scan_.here(), "the file is empty (expected an object, {…})");
      return false;
    }
    read_value(root);
    if (!scan_.gave_up()) scan_.skip_space();
    if (scan_.gave_up()) return false;
    if (!scan_.at_end()) {
      scan_.report(scan_.here(),
                   scan_.shown() + " after the end of the configuration (expected nothing)");
    }
    return true;
  }

 private:
  void fail(std::string what) {
    scan_.report(scan_.here(), std::move(what));
    scan_.give_up();
  }

  void read_value(Value& into) {
    into.at = scan_.here();
    const char c = scan_.peek();
    if (c == '{' || c == '[') {
      if (++depth_ > nesting_max) {
        return fail("nested more than " + std::to_string(nesting_max) + " deep (expected less)");
      }
      c == '{' ? read_object(into) : read_array(into);
      --depth_;
    } else if (c == '"' || c == '\'') {
      if (scan_.read_string(into.text)) into.type = Value::Type::string;
    } else if (scan_.at_word()) {
      read_plain(into);
    } else {
      fail("unexpected " + scan_.shown() + " (expected a value)");
    }
  }

  void read_plain(Value& into) {
    std::string word = scan_.read_word();
    if (word == "true" || word == "false") {
      into.type = Value::Type::boolean;
      into.boolean = word == "true";
    } else if (word == "null") {
      into.type = Value::Type::null;
    } else if (is_number(word)) {
      if (is_too_large(word)) {
        return scan_.report(into.at,
                            in_quotes(word) + " is too large for a number (at most about 1.8e308)");
      }
      into.type = Value::Type::number;
      into.text = std::move(word);
    } else {
      report_word(into.at, word);
    }
  }

  void report_word(Position at, const std::string& word) {
    const std::string small = lower(word), shown = printable(word.substr(0, 64));
    if (small == "true" || small == "false" || small == "null") {
      scan_.report(at, shown + " is no JSON value (write " + small + ")");
    } else if (!is_digit(word.back()) && is_digit(word.front())) {
      scan_.report(at, shown + " is not in quotes (write " + in_quotes(word) + ")");
    } else if (is_digit(word.front()) || word.front() == '-' || word.front() == '+' ||
               word.front() == '.') {
      scan_.report(at, shown + " is no JSON number (expected one such as 3, -0.5 or 1e6)");
    } else {
      scan_.report(at, shown + " is not in quotes (write " + in_quotes(word) + ")");
    }
  }

  // After an element: true when another one follows. Forgives a comma too many or too few.
  bool another(char close, Position opened) {
    const std::string closer = std::string("'") + close + "'";
    scan_.skip_space();
    if (scan_.gave_up()) return false;
    if (scan_.take(close)) return false;
    if (scan_.at_end()) {
      fail("the file ends here (expected " + closer + " for the one opened at " + place(opened) +
           ")");
      return false;
    }
    const Position comma = scan_.here();
    if (scan_.take(',')) {
      scan_.skip_space();
      while (scan_.peek() == ',') {
        scan_.report(scan_.here(), "a second ',' (expected a value or " + closer + ")");
        scan_.advance();
        scan_.skip_space();
      }
      if (scan_.gave_up()) return false;
      if (!scan_.take(close)) return true;
      scan_.report(comma, "',' before " + closer + " (remove it)");
      return false;
    }
    const bool value_follows = scan_.at_word() || scan_.peek() == '"' || scan_.peek() == '\'' ||
                               (close == ']' && (scan_.peek() == '{' || scan_.peek() == '['));
    if (value_follows) {
      scan_.report(comma, "',' is missing before this (expected ',' or " + closer + ")");
      return true;
    }
    fail("unexpected " + scan_.shown() + " (expected ',' or " + closer + ")");
    return false;
  }

  // After the opening bracket: true when there is a first element.
  bool begins(char close, Position opened) {
    scan_.advance();
    scan_.skip_space();
    if (scan_.gave_up() || scan_.take(close)) return false;
    if (!scan_.at_end()) return true;
    fail(std::string("the file ends here (expected '") + close + "' for the one opened at " +
         place(opened) + ")");
    return false;
  }

  void read_array(Value& into) {
    const std::string outer = scan_.pointer;
    into.type = Value::Type::array;
    if (!begins(']', into.at)) return;
    do {
      scan_.pointer = outer + "/" + std::to_string(into.elements.size());
      read_value(into.elements.emplace_back());
      if (scan_.gave_up()) return;
      scan_.pointer = outer;
    } while (another(']', into.at));
  }

  bool read_key(Member& into) {
    into.at = scan_.here();
    if (scan_.peek() == '"' || scan_.peek() == '\'') return scan_.read_string(into.key);
    if (!scan_.at_word()) {
      fail("unexpected " + scan_.shown() + " (expected a key in quotes or '}')");
      return false;
    }
    into.key = scan_.read_word();
    scan_.report(into.at, "the key " + printable(into.key) + " is not in quotes (write " +
                              in_quotes(into.key) + ")");
    return true;
  }

  void read_object(Value& into) {
    const std::string outer = scan_.pointer;
    std::map<std::string, Position> seen;
    into.type = Value::Type::object;
    if (!begins('}', into.at)) return;
    do {
      Member member;
      if (!read_key(member)) return;
      scan_.pointer = pointer_to(outer, member.key);
      const auto [first, is_new] = seen.emplace(member.key, member.at);
      if (!is_new && !is_foreign(member.key)) {
        scan_.report(member.at, "duplicate key " + in_quotes(member.key) +
                                    " (remove one; the first is at " + place(first->second) + ")");
      }
      scan_.skip_space();
      if (scan_.gave_up()) return;
      if (!scan_.take(':')) {
        return fail("unexpected " + scan_.shown() + " (expected ':' after the key " +
                    in_quotes(member.key) + ")");
      }
      scan_.skip_space();
      if (scan_.gave_up()) return;
      read_value(member.value);
      if (scan_.gave_up()) return;
      into.members.push_back(std::move(member));
      scan_.pointer = outer;
    } while (another('}', into.at));
  }

  Scan scan_;
  std::size_t depth_ = 0;
};

}  // namespace

Document read(std::string_view text) {
  Document document;
  Reader reader(text, document);
  document.complete = reader.read_document(document.root);
  return document;
}

}  // namespace bulkhead::supervisor::json_source
