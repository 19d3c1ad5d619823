// Edit distance, and the ways in which people shorten words.
#include "base/nearest.hpp"

#include <algorithm>
#include <limits>

namespace bulkhead::base {
namespace {

constexpr std::size_t compared_bytes_max = 128;  // the comparison takes the product of both lengths

std::string folded(std::string_view text) {
  std::string out(text.substr(0, compared_bytes_max));
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-') c = '_';
  }
  return out;
}

// Optimal string alignment: insertions, deletions, replacements, and swaps of neighbours.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, above[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

bool is_abbreviation(const std::string& small, const std::string& full) {
  if (small.size() < 2 || small[0] != full[0]) return false;
  std::size_t found = 0;
  for (const char c : full) {
    if (found < small.size() && small[found] == c) ++found;
  }
  return found == small.size();
}

// "TERM" for SIGTERM, "environment" for env.
bool is_part(const std::string& a, const std::string& b) {
  const std::string& small = a.size() < b.size() ? a : b;
  const std::string& full = a.size() < b.size() ? b : a;
  return small.size() >= 3 && full.find(small) != std::string::npos;
}

}  // namespace

std::optional<std::string> nearest(std::string_view written,
                                   const std::vector<std::string_view>& candidates) {
  const std::string wanted = folded(written);
  std::optional<std::string> best;
  std::size_t best_distance = std::numeric_limits<std::size_t>::max();
  for (const std::string_view candidate : candidates) {
    if (wanted.empty() || candidate.empty()) continue;
    const std::string known = folded(candidate);
    const std::size_t edits = distance(wanted, known);
    const std::size_t near = std::max<std::size_t>(1, std::max(wanted.size(), known.size()) / 3);
    const bool meant = edits <= near || is_abbreviation(wanted, known) || is_part(wanted, known);
    if (meant && edits < best_distance) {
      best_distance = edits;
      best = std::string(candidate);
    }
  }
  return best;
}

}  // namespace bulkhead::base
