#include "workers/builtin/word_count.hpp"

#include <algorithm>
#include <array>

namespace bulkhead::workers {
namespace {

enum class Class : std::uint8_t { other, space, letter, digit };

constexpr std::array<Class, 256> make_classes() {
  std::array<Class, 256> classes{};
  for (int code = 0; code < 256; ++code) {
    auto& entry = classes[static_cast<std::size_t>(code)];
    const char c = static_cast<char>(code);
    if (is_space(c)) entry = Class::space;
    if (c >= '0' && c <= '9') entry = Class::digit;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') entry = Class::letter;
  }
  return classes;
}
constexpr auto classes = make_classes();

Class class_of(char c) noexcept { return classes[static_cast<unsigned char>(c)]; }

}  // namespace

void WordCount::add(std::string_view text) {
  bytes += text.size();
  bool in_word = false;
  for (std::size_t at = 0; at < text.size();) {
    const auto kind = class_of(text[at]);
    if (kind == Class::space) {
      lines += text[at] == '\n' ? 1 : 0;
      in_word = false;
      ++at;
      continue;
    }
    words += in_word ? 0 : 1;
    in_word = true;
    if (kind == Class::other) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < text.size() && class_of(text[at]) >= Class::letter) ++at;
    if (kind == Class::letter) count_identifier(text.substr(begin, at - begin), 1);
  }
}

void WordCount::count_identifier(std::string_view name, std::uint64_t times) {
  name = name.substr(0, identifier_bytes_max);
  const auto found = identifiers.find(name);
  if (found != identifiers.end()) {
    found->second += times;
  } else {
    identifiers.emplace(std::string(name), times);
  }
}

void WordCount::merge(const WordCount& other) {
  bytes += other.bytes;
  lines += other.lines;
  words += other.words;
  for (const auto& [name, times] : other.identifiers) count_identifier(name, times);
}

std::vector<std::pair<std::string, std::uint64_t>> WordCount::most_frequent(
    std::size_t how_many) const {
  std::vector<std::pair<std::string, std::uint64_t>> all(identifiers.begin(), identifiers.end());
  const auto wanted = std::min(how_many, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(wanted), all.end(),
                    [](const auto& a, const auto& b) {
                      return a.second != b.second ? a.second > b.second : a.first < b.first;
                    });
  all.resize(wanted);
  return all;
}

}  // namespace bulkhead::workers
