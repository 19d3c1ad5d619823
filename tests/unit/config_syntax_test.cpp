// What is wrong with the text of a config, before anybody asks what it means: positions, remedies, and
// reading on after the mistakes that people make.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "supervisor/json_source.hpp"

namespace bulkhead::supervisor::json_source {
namespace {

std::vector<std::string> problems(std::string_view text) {
  std::vector<std::string> lines;
  for (const Problem& problem : read(text).problems) {
    lines.push_back(std::to_string(problem.at.line) + ":" + std::to_string(problem.at.column) +
                    ": " + problem.pointer + ": " + problem.what);
  }
  return lines;
}

using Lines = std::vector<std::string>;

TEST(JsonSource, reads_every_kind_of_value_with_its_position) {
  const auto document = read("{\n  \"a\": [1, -2.5e3, true, null],\n\t\"b\": {\"c\": \"x\"}\n}\n");
  ASSERT_TRUE(document.complete);
  EXPECT_TRUE(document.problems.empty());
  const Value& a = document.root.find("a")->value;
  EXPECT_EQ(a.at, (Position{2, 8}));
  ASSERT_EQ(a.elements.size(), 4U);
  EXPECT_EQ(a.elements[1].text, "-2.5e3");
  EXPECT_EQ(a.elements[1].at, (Position{2, 12}));
  EXPECT_TRUE(a.elements[2].boolean);
  EXPECT_EQ(a.elements[3].type, Value::Type::null);
  const Member& c = document.root.find("b")->value.members[0];
  EXPECT_EQ(c.at, (Position{3, 8}));  // columns are bytes: a tab is one
  EXPECT_EQ(c.value.text, "x");
  EXPECT_EQ(to_text(document.root), R"({"a":[1,-2.5e3,true,null],"b":{"c":"x"}})");
}

TEST(JsonSource, skips_comments_of_both_kinds) {
  const auto document = read("// first\n{ /* a\n b */ \"k\" /**/ : /* // */ 1 // last\n}//end");
  EXPECT_TRUE(document.problems.empty());
  EXPECT_EQ(document.root.find("k")->at, (Position{3, 7}));
}

TEST(JsonSource, decodes_escapes_and_surrogate_pairs) {
  const auto document = read(R"(["\"\\\/\b\f\n\r\t", "\u00e9\u20ac\ud83d\ude00", "é€😀"])");
  EXPECT_TRUE(document.problems.empty());
  EXPECT_EQ(document.root.elements[0].text, "\"\\/\b\f\n\r\t");
  EXPECT_EQ(document.root.elements[1].text, document.root.elements[2].text);
}

TEST(JsonSource, columns_count_bytes) {
  EXPECT_EQ(problems("[\"é\", x]"), Lines{"1:8: /1: x is not in quotes (write \"x\")"});
}

TEST(JsonSource, says_of_nothing_that_it_is_empty) {
  for (const char* text : {"", "  \n\t", "// only a comment"}) {
    ASSERT_EQ(problems(text).size(), 1U);
    EXPECT_NE(problems(text)[0].find("the file is empty (expected an object, {…})"),
              std::string::npos);
    EXPECT_FALSE(read(text).complete);
  }
}

TEST(JsonSource, reads_on_after_a_comma_too_many_or_too_few) {
  EXPECT_EQ(problems("{\"a\": 1,}"), Lines{"1:8: : ',' before '}' (remove it)"});
  EXPECT_EQ(problems("[1,, 2]"), Lines{"1:4: : a second ',' (expected a value or ']')"});
  EXPECT_EQ(problems("{\"a\": 1\n \"b\": [1 2,]}"),
            (Lines{"2:2: : ',' is missing before this (expected ',' or '}')",
                   "2:10: /b: ',' is missing before this (expected ',' or ']')",
                   "2:11: /b: ',' before ']' (remove it)"}));
  EXPECT_TRUE(read("{\"a\": 1 \"b\": 2}").complete);
}

TEST(JsonSource, reads_on_after_forgotten_quotes) {
  EXPECT_EQ(problems("{a: 250ms, 'b': 'c', d: True, e: None}"),
            (Lines{"1:2: : the key a is not in quotes (write \"a\")",
                   "1:5: /a: 250ms is not in quotes (write \"250ms\")",
                   "1:12: : strings take double quotes (write \"b\")",
                   "1:17: /b: strings take double quotes (write \"c\")",
                   "1:22: : the key d is not in quotes (write \"d\")",
                   "1:25: /d: True is no JSON value (write true)",
                   "1:31: : the key e is not in quotes (write \"e\")",
                   "1:34: /e: None is not in quotes (write \"None\")"}));
}

TEST(JsonSource, refuses_what_only_looks_like_a_number) {
  EXPECT_EQ(problems("[03]"),
            Lines{"1:2: /0: 03 is no JSON number (expected one such as 3, -0.5 or 1e6)"});
  for (const char* number : {"+1", ".5", "1.", "-", "1e", "--1", "0x10", "1.2.3"}) {
    EXPECT_EQ(problems("[" + std::string(number) + "]").size(), 1U) << number;
  }
  EXPECT_EQ(problems("[1e999]"),
            Lines{"1:2: /0: \"1e999\" is too large for a number (at most about 1.8e308)"});
  EXPECT_EQ(problems("[" + std::string(400, '9') + "]").size(), 1U);
  for (const char* number : {"0", "-0", "1e-999", "12345678901234567890123", "1E+2", "0.0000001"}) {
    EXPECT_EQ(problems("[" + std::string(number) + "]"), Lines{}) << number;
  }
}

TEST(JsonSource, names_the_bracket_that_is_not_closed) {
  EXPECT_EQ(problems("{\n \"a\": [1"),
            Lines{"2:9: /a: the file ends here (expected ']' for the one opened at 2:7)"});
  EXPECT_EQ(problems("{"),
            Lines{"1:2: : the file ends here (expected '}' for the one opened at 1:1)"});
  EXPECT_EQ(problems("{\"a\": [1}"), Lines{"1:9: /a: unexpected '}' (expected ',' or ']')"});
  EXPECT_FALSE(read("{").complete);
}

TEST(JsonSource, says_what_it_expected_instead) {
  EXPECT_EQ(problems("{\"a\" 1}"),
            Lines{"1:6: /a: unexpected '1' (expected ':' after the key \"a\")"});
  EXPECT_EQ(problems("{\"a\":}"), Lines{"1:6: /a: unexpected '}' (expected a value)"});
  EXPECT_EQ(problems("{:1}"), Lines{"1:2: : unexpected ':' (expected a key in quotes or '}')"});
  EXPECT_EQ(problems("{\"a\":1; }"), Lines{"1:7: : unexpected ';' (expected ',' or '}')"});
  EXPECT_EQ(problems("{} {}"),
            Lines{"1:4: : '{' after the end of the configuration (expected nothing)"});
  EXPECT_EQ(problems("{\"a\":"),
            Lines{"1:6: /a: unexpected the end of the file (expected a value)"});
}

TEST(JsonSource, reports_strings_and_comments_that_do_not_end_where_they_begin) {
  EXPECT_EQ(problems("{\"a\": \"x\n}"),
            Lines{"1:7: /a: the string is not closed (expected \" before the end of the line)"});
  EXPECT_EQ(problems("{\n/* x"),
            Lines{"2:1: : the comment is not closed (expected */ before the end of the file)"});
  EXPECT_EQ(problems("# x\n{}"), Lines{"1:1: : '#' begins no comment here (write // or /* */)"});
}

TEST(JsonSource, reports_bad_escapes_and_control_characters_and_reads_on) {
  EXPECT_EQ(
      problems(R"(["\x"])"),
      Lines{
          R"(1:3: /0: unknown escape \x (expected \" \\ \/ \b \f \n \r \t or \u and four hex digits))"});
  EXPECT_EQ(problems(R"(["\u12g4"])"),
            Lines{R"(1:3: /0: incomplete escape (expected \u and four hex digits))"});
  EXPECT_EQ(problems("[\"a\tb\"]"),
            Lines{"1:4: /0: control character in a string (write \\u0009)"});
  for (const char* half :
       {R"(["\ud83d"])", R"(["\ude00"])", R"(["\ud83d\u0041"])", R"(["\ud83dx"])"}) {
    ASSERT_EQ(problems(half).size(), 1U) << half;
    EXPECT_NE(problems(half)[0].find("half a surrogate pair"), std::string::npos);
    EXPECT_TRUE(read(half).complete);
  }
}

TEST(JsonSource, reports_every_duplicate_key_and_where_the_first_is) {
  EXPECT_EQ(problems("{\"a\": 1,\n \"b\": 2, \"a\": 3}"),
            Lines{"2:10: /a: duplicate key \"a\" (remove one; the first is at 1:2)"});
  EXPECT_EQ(problems(R"({"a": 1, "\u0061": 2})").size(), 1U);
}

TEST(JsonSource, reports_bytes_that_are_no_text) {
  using namespace std::string_literals;
  EXPECT_EQ(problems("\xef\xbb\xbf{}"),
            Lines{"1:1: : the file begins with a byte order mark (save it as UTF-8 without BOM)"});
  EXPECT_EQ(problems("\xff\xfe{\0}\0"s), Lines{"1:1: : the file is UTF-16 (save it as UTF-8)"});
  EXPECT_EQ(problems("{\0}"s), Lines{"1:2: : NUL byte (expected text)"});
  EXPECT_EQ(problems("[\"caf\xe9\", \"\xe9\"]"),
            Lines{"1:6: : byte 0xe9 is not UTF-8 (save the file as UTF-8; there are 2)"});
  for (const char* bytes : {"\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                            "\xf5\x80\x80\x80", "\x80", "\xe2\x82"}) {
    EXPECT_FALSE(problems("[\"" + std::string(bytes) + "\"]").empty());
  }
}

TEST(JsonSource, stops_at_the_nesting_that_it_promises) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(problems(nested(nesting_max)).empty());
  ASSERT_EQ(problems(nested(nesting_max + 1)).size(), 1U);
  EXPECT_NE(problems(nested(nesting_max + 1))[0].find("1:65: "), std::string::npos);
  EXPECT_NE(problems(nested(nesting_max + 1))[0].find("nested more than 64 deep"),
            std::string::npos);
  EXPECT_EQ(problems(std::string(1 << 20, '[')).size(), 1U);
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_EQ(problems(objects).size(), 1U);
}

TEST(JsonSource, pointers_escape_what_rfc_6901_says) {
  EXPECT_EQ(problems("{\"a/b~c\": x}")[0], "1:11: /a~1b~0c: x is not in quotes (write \"x\")");
}

TEST(JsonSource, quotes_text_for_messages_on_one_short_line) {
  EXPECT_EQ(in_quotes("a\nb\x1b[31m"), R"("a\u000ab\u001b[31m")");
  EXPECT_EQ(in_quotes(std::string(79, 'x') + "€"), "\"" + std::string(79, 'x') + "\"…");
  EXPECT_EQ(printable("\x7f"), "\\u007f");
}

}  // namespace
}  // namespace bulkhead::supervisor::json_source
