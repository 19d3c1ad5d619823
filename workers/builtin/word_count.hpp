// Counts what is in a text: bytes, lines, words, identifiers. Used by crunchers, and by the splitter,
// which checks their sum against a count of its own. Must not know files or messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace bulkhead::workers {

// The six characters of isspace() in the C locale.
constexpr bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

// So that a view into the text finds its entry without a string being made.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>()(text);
  }
};

// Of a longer identifier the first bytes count, so that each fits into a message.
inline constexpr std::size_t identifier_bytes_max = 512;

struct WordCount {
  std::uint64_t bytes = 0;
  std::uint64_t lines = 0;  // line feeds
  std::uint64_t words = 0;  // longest runs without white space
  // A letter or underscore, then letters, digits and underscores; ASCII. What begins with a digit is
  // a number and not counted, whatever letters it has.
  std::unordered_map<std::string, std::uint64_t, TextHash, std::equal_to<>> identifiers;

  // The text is taken as a whole: a word does not go on in the next one.
  void add(std::string_view text);
  void merge(const WordCount&);
  void count_identifier(std::string_view name, std::uint64_t times);
  bool operator==(const WordCount&) const = default;

  // The most frequent identifiers, the first of equals by name.
  std::vector<std::pair<std::string, std::uint64_t>> most_frequent(std::size_t how_many) const;
};

}  // namespace bulkhead::workers
