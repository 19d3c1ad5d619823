// The programs in examples/ do what they say, started as anybody would start them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/command.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::test {
namespace {

namespace fs = std::filesystem;

std::string pool_example(const std::string& name) {
  return std::string(BULKHEAD_EXAMPLES "/") + name;
}

std::string content_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

bool ends_with_check(const CommandOutput& output) {
  const auto at = output.out.rfind("check: ");
  return at != std::string::npos && output.out.find('\n', at) == output.out.size() - 1;
}

TEST(PoolExamples, say_how_they_are_used) {
  const std::vector<std::vector<std::string>> wrong = {{"word_statistics", "/no/such/directory"},
                                                       {"word_statistics", ".", "."},
                                                       {"mandelbrot"},
                                                       {"mandelbrot", "x.ppm", "wide", "40"},
                                                       {"mandelbrot", "x.ppm", "60", "0"},
                                                       {"kmeans", "7"},
                                                       {"kmeans", "many"},
                                                       {"crashing_grep", "many"},
                                                       {"crashing_grep", "20", "20"}};
  for (auto argv : wrong) {
    const auto name = argv.front();
    argv.front() = pool_example(name);
    const auto output = run_command(argv);
    EXPECT_EQ(output.code, 2) << name;
    EXPECT_EQ(output.err.rfind("usage: " + name, 0), 0U) << output.err;
    EXPECT_EQ(output.out, "");
  }
}

TEST(PoolExamples, count_the_words_of_a_tree) {
  const TemporaryDirectory tree;
  fs::create_directories(tree.path("deeper/still"));
  tree.write("one.txt", "red green_2 red\nblue 3rd red\n");
  tree.write("deeper/two.txt", "blue(red)\n");
  tree.write("deeper/still/empty.txt", "");
  const auto output = run_command({pool_example("word_statistics"), tree.path()});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_NE(output.out.find(": 3 files\n39 bytes, 3 lines, 7 words\n"
                            "         4 red\n         2 blue\n         1 green_2\ncheck: "),
            std::string::npos)
      << output.out;
  EXPECT_TRUE(ends_with_check(output)) << output.out;
}

TEST(PoolExamples, draw_a_picture) {
  const TemporaryDirectory folder;
  const auto file = folder.path("picture.ppm");
  const auto output = run_command({pool_example("mandelbrot"), file, "60", "40"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_TRUE(ends_with_check(output)) << output.out;
  const std::string picture = content_of(file), head = "P6\n60 40\n255\n";
  ASSERT_EQ(picture.size(), head.size() + 3 * 60 * 40);
  EXPECT_EQ(picture.substr(0, head.size()), head);
  const auto pixel = [&](std::size_t x, std::size_t y) {
    return picture.substr(head.size() + 3 * (y * 60 + x), 3);
  };
  EXPECT_EQ(pixel(30, 20), std::string(3, '\0'));  // within the set
  EXPECT_NE(pixel(0, 0), std::string(3, '\0'));
}

TEST(PoolExamples, say_where_a_picture_could_not_be_written) {
  const auto output = run_command({pool_example("mandelbrot"), "/no/such/folder/p.ppm", "6", "4"});
  EXPECT_EQ(output.code, 1);
  EXPECT_NE(output.err.find("/no/such/folder/p.ppm: No such file"), std::string::npos)
      << output.err;
}

TEST(PoolExamples, find_clusters_from_any_directory) {
  const std::vector<std::vector<std::string>> ways = {
      {pool_example("kmeans"), "20000"},
      {"/bin/sh", "-c", "cd / && exec " + pool_example("kmeans") + " 20000"},
      {"/bin/sh", "-c", "cd " BULKHEAD_EXAMPLES " && exec ./kmeans 20000"},
      {"/bin/sh", "-c", "cd / && PATH=" BULKHEAD_EXAMPLES " && exec kmeans 20000"}};
  std::set<std::string> outputs;
  for (const auto& way : ways) {
    const auto output = run_command(way);
    EXPECT_EQ(output.code, 0) << way.back() << ": " << output.err;
    EXPECT_TRUE(ends_with_check(output)) << output.out;
    outputs.insert(output.out);
    int points = 0;
    const std::regex line("([0-9]+) points");
    for (std::sregex_iterator at(output.out.begin(), output.out.end(), line), end; at != end;
         ++at) {
      points += std::stoi((*at)[1]);
    }
    EXPECT_EQ(points, 20000) << output.out;
  }
  EXPECT_EQ(outputs.size(), 1U) << "it is the same each time";
}

// What stands at the place that the grep names for a file, and in which function.
struct NamedPlace {
  std::string cause, words, function, line;
};
NamedPlace place_of(const std::string& out, const std::string& file) {
  std::smatch match;
  const std::regex pattern(
      "quarantined " + file +
      ": (\\w+): ([^\n]*)\n(?:    in ([^\n]*) at crashing_grep.cpp:(\\d+)\n)?");
  if (!std::regex_search(out, match, pattern)) return {};
  NamedPlace place{match[1], match[2], match[3], ""};
  std::ifstream source(BULKHEAD_SOURCE_DIR "/examples/crashing_grep.cpp");
  for (int i = match[4].matched ? std::stoi(match[4]) : 0; i > 0; --i) {
    std::getline(source, place.line);
  }
  return place;
}

TEST(PoolExamples, grep_through_files_that_crash_the_parser) {
  const TemporaryDirectory folder;
  const auto output = run_command({pool_example("crashing_grep"), "60"},
                                  {"TMPDIR=" + folder.path()}, std::chrono::seconds(60));
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_TRUE(ends_with_check(output)) << output.out;
  std::set<std::string> quarantined;
  const std::regex name("quarantined ([^:]*)");
  for (std::sregex_iterator at(output.out.begin(), output.out.end(), name), end; at != end; ++at) {
    quarantined.insert((*at)[1]);
  }
  EXPECT_EQ(quarantined,
            (std::set<std::string>{"1003a.note", "1005a.note", "1007a.note", "1009a.note"}));

  const auto aborted = place_of(output.out, "1003a.note");
  EXPECT_EQ(aborted.cause, "signal");
  EXPECT_NE(aborted.words.find("abort"), std::string::npos) << aborted.words;
  EXPECT_NE(aborted.function.find("expand_one"), std::string::npos) << aborted.function;
  EXPECT_NE(aborted.line.find("std::abort()"), std::string::npos) << aborted.line;

  const auto deep = place_of(output.out, "1005a.note");
  EXPECT_NE(deep.words.find("stack overflow"), std::string::npos) << deep.words;
  EXPECT_NE(deep.function.find("expand_"), std::string::npos) << deep.function;

  const auto unknown = place_of(output.out, "1007a.note");
  EXPECT_NE(unknown.words.find("SIGSEGV reading 0x0"), std::string::npos) << unknown.words;
  EXPECT_NE(unknown.function.find("expand_name"), std::string::npos) << unknown.function;
  EXPECT_NE(unknown.line.find("*value"), std::string::npos) << unknown.line;

  EXPECT_EQ(place_of(output.out, "1009a.note").cause, "timed_out");
  EXPECT_NE(output.out.find("1000.note:2: the lighthouse of harbour 0\n"), std::string::npos);
  EXPECT_NE(output.out.find("1050.note:2: the lighthouse of harbour 50\n"), std::string::npos);
  EXPECT_EQ(output.out.find("ferry"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder.path())) << "what it has planted is gone";
}

}  // namespace
}  // namespace bulkhead::test
