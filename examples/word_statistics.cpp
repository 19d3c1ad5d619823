// Word statistics of a directory tree: bytes, lines, words, and the identifiers that are used most. Each file is an
// item, read and counted by whichever worker is free; what comes back is a map, merged here as it arrives.
//
//   word_statistics [DIRECTORY]
#include <bulkhead/pool.hpp>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Totals {
  std::uint64_t bytes = 0, lines = 0, words = 0;
  bool operator==(const Totals&) const = default;
};
using Identifiers = std::map<std::string, std::uint64_t>;
using Statistics = std::pair<Totals, Identifiers>;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

Statistics statistics_of(std::string_view text) {
  Statistics found;
  auto& [totals, identifiers] = found;
  totals.bytes = text.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') ++totals.lines;
    if (!is_space(text[i]) && (i == 0 || is_space(text[i - 1]))) ++totals.words;
    if (!is_word(text[i]) || (i != 0 && is_word(text[i - 1]))) continue;
    std::size_t end = i;
    while (end < text.size() && is_word(text[end])) ++end;
    if (!is_digit(text[i])) ++identifiers[std::string(text.substr(i, end - i))];
  }
  return found;
}

// What a worker does with an item. An Error is this item's failure and nobody else's.
bulkhead::Result<Statistics> count_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return bulkhead::errno_error(errno, "open " + path);
  return statistics_of(std::string(std::istreambuf_iterator<char>(file), {}));
}

void merge(Statistics& into, const Statistics& from) {
  into.first.bytes += from.first.bytes;
  into.first.lines += from.first.lines;
  into.first.words += from.first.words;
  for (const auto& [name, count] : from.second) into.second[name] += count;
}

std::vector<std::string> files_under(const char* directory) {
  std::vector<std::string> files;
  const auto options = fs::directory_options::skip_permission_denied;
  for (const auto& entry : fs::recursive_directory_iterator(directory, options)) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  return files;
}

void print(const Statistics& all) {
  std::printf("%ju bytes, %ju lines, %ju words\n", all.first.bytes, all.first.lines,
              all.first.words);
  std::vector<std::pair<std::string, std::uint64_t>> by_count(all.second.begin(), all.second.end());
  std::stable_sort(by_count.begin(), by_count.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  by_count.resize(std::min<std::size_t>(by_count.size(), 20));
  for (const auto& [name, count] : by_count) std::printf("%10ju %s\n", count, name.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  const char* const directory = argc == 2 ? argv[1] : "/usr/include";
  std::error_code ignored;
  if (argc > 2 || !fs::is_directory(directory, ignored)) {
    std::fprintf(stderr, "usage: word_statistics [DIRECTORY]\n");
    return 2;
  }
  const auto files = files_under(directory);

  bulkhead::Pool pool;
  Statistics all;
  const auto mapped = pool.map_unordered(
      files, [](const std::string& path) { return count_file(path); },
      [&all](std::size_t, Statistics counted) { merge(all, counted); });
  std::printf("%s: %zu files\n", directory, files.size());
  print(all);
  for (const auto& [item, failure] : mapped.failures) {
    std::printf("not counted: %s\n", failure.in_words().c_str());
  }

  Statistics serial;
  for (const auto& path : files) {
    if (const auto counted = count_file(path)) merge(serial, *counted);
  }
  if (all != serial) {
    std::fprintf(stderr, "word_statistics: the serial run has counted something else\n");
    return 1;
  }
  std::printf("check: a serial run has counted the same\n");
  return 0;
}
