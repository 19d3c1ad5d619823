// Damaged configs: whatever is cut off or changed, parse_config gives a config or says what is wrong.
#include <gtest/gtest.h>

#include <string>

#include "base/fd.hpp"
#include "tests/support/config_text.hpp"

namespace bulkhead::supervisor {
namespace {

// Each test goes through the whole file in steps: every place would take minutes, and the steps share
// no factor, so together the tests reach most of them.
constexpr std::size_t cut_step = 13, change_step = 23, length_step = 41, value_step = 7;

std::string demo() { return *base::read_file(BULKHEAD_SOURCE_DIR "/configs/demo.json"); }

// True when it is a config; every issue of one that is not is a whole, single line.
bool is_config(const std::string& text) {
  const auto parsed = parse_config(text, "demo.json", {"", false});
  const auto* issues = std::get_if<std::vector<ConfigIssue>>(&parsed);
  if (issues == nullptr) return true;
  EXPECT_FALSE(issues->empty());
  for (const ConfigIssue& issue : *issues) {
    EXPECT_GE(issue.line, 1U);
    EXPECT_GE(issue.column, 1U);
    EXPECT_FALSE(issue.what.empty());
    EXPECT_EQ(format_issue("demo.json", issue).find_first_of("\n\r\x1b"), std::string::npos);
  }
  return false;
}

TEST(DamagedConfig, that_was_cut_off_is_refused) {
  const std::string text = demo();
  const std::size_t last = text.find_last_of('}');
  ASSERT_TRUE(is_config(text));
  for (std::size_t size = 0; size <= last; size += cut_step) {
    EXPECT_FALSE(is_config(text.substr(0, size))) << "cut to " << size << " bytes";
  }
}

TEST(DamagedConfig, with_one_byte_changed_is_read_or_refused) {
  const std::string text = demo();
  constexpr std::string_view bytes("\0\"{}[],:\\/*0-x\n\x80\xff", 17);
  std::size_t refused = 0, tried = 0;
  for (std::size_t at = 0; at < text.size(); at += change_step) {
    std::string damaged = text;
    damaged[at] = bytes[at % bytes.size()];
    ++tried;
    if (!is_config(damaged)) ++refused;
  }
  EXPECT_GT(refused, tried / 2);
}

TEST(DamagedConfig, with_a_byte_too_many_or_too_few_is_read_or_refused) {
  const std::string text = demo();
  constexpr std::string_view bytes("\"{}[],:\\/'", 10);
  for (std::size_t at = 0; at < text.size(); at += length_step) {
    std::string more = text, less = text;
    more.insert(at, 1, bytes[at % bytes.size()]);
    less.erase(at, 1);
    is_config(more);
    is_config(less);
  }
}

// Values of every kind in every place: a reader that trusts a type dies here.
TEST(DamagedConfig, with_a_value_of_another_kind_is_read_or_refused) {
  const std::string text = demo();
  for (const char* value :
       {"null", "true", "0", "-1.5e3", "\"\"", "\"x\"", "[]", "{}", "[[\"a\"]]", "{\"a\": {}}"}) {
    std::size_t place = 0;
    for (std::size_t at = text.find(": "); at != std::string::npos; at = text.find(": ", at + 2)) {
      if (place++ % value_step != 0) continue;
      const std::size_t from = at + 2;
      const char open = text[from];
      std::size_t end = from;
      if (open == '"') {
        end = text.find('"', from + 1) + 1;
      } else if (open == '{' || open == '[') {
        int depth = 0;
        do {
          depth += (text[end] == open) - (text[end] == (open == '{' ? '}' : ']'));
        } while (depth != 0 && ++end < text.size());
        ++end;
      } else {
        end = text.find_first_of(",} \n", from);
      }
      is_config(text.substr(0, from) + value + text.substr(std::min(end, text.size())));
    }
  }
}

}  // namespace
}  // namespace bulkhead::supervisor
