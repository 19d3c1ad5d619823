// JSON as a person wrote it: values with their positions, so that every finding about a config can
// point at its line and column. Used by the config parser; knows nothing of what a config means.
//
// Why not the JSON library: it keeps no positions (its SAX events carry none, and its lexer reads ahead),
// keeps only the last of duplicate keys, and stops at the first error with a message about tokens. What we
// promise is every error at once, each with a position and a remedy. So this reads JSON (RFC 8259) plus
// comments, and goes on after the mistakes that people make: a comma too many or too few, a key or a
// duration without quotes, a word in the wrong case.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::supervisor::json_source {

inline constexpr std::size_t nesting_max = 64;  // of arrays and objects; also bounds our recursion

struct Position {  // both count from 1; columns are bytes
  std::size_t line = 1, column = 1;
  friend auto operator<=>(const Position&, const Position&) = default;
};

struct Member;

struct Value {
  enum class Type { invalid, null, boolean, number, string, array, object };
  Type type = Type::invalid;  // invalid: already reported, say nothing more about it
  Position at;
  bool boolean = false;
  std::string text;  // string: decoded; number: as written
  std::vector<Value> elements;
  std::vector<Member> members;  // in the file's order, duplicates included

  const Member* find(std::string_view key) const noexcept;  // the first of that name
};

struct Member {
  std::string key;
  Position at;  // of the key
  Value value;
};

struct Problem {
  Position at;
  std::string pointer;  // RFC 6901, of the innermost value that was being read
  std::string what;     // "what is wrong (what was expected)"
};

struct Document {
  Value root;
  std::vector<Problem> problems;
  bool complete = false;  // false: reading ended early, the root is not worth a look
};

Document read(std::string_view text);

// Keys that begin with "x-" belong to the reader of the file, not to us: unknown to us, and free to
// stand there more than once.
inline bool is_foreign(std::string_view key) noexcept { return key.starts_with("x-"); }

// As JSON again, compact, without comments; numbers as written.
std::string to_text(const Value&);

std::string pointer_to(const std::string& parent,
                       std::string_view key);  // parent + "/" + escaped key

// A string in quotes for a message: on one line, printable, shortened when it is long.
std::string in_quotes(std::string_view);

// Control characters as \u00xx, so that a message is one line and cannot steer a terminal.
std::string printable(std::string_view);

}  // namespace bulkhead::supervisor::json_source
