// docs/pool.md holds: what it quotes is in docs/examples, those programs find what it says, and the compiler refuses what
// it says that it refuses.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/command.hpp"
#include "tests/support/quoted_code.hpp"

namespace bulkhead::test {
namespace {

const std::filesystem::path source_dir = BULKHEAD_SOURCE_DIR;

TEST(PoolGuide, quotes_only_code_that_is_compiled) {
  EXPECT_GE(check_quoted_code(source_dir / "docs", "pool.md"), 20);
  const auto guide = text_of(source_dir / "docs/pool.md");
  const auto cmake_at = guide.find("```cmake\n") + 9;
  EXPECT_NE(text_of(source_dir / "tests/install/consumer/CMakeLists.txt")
                .find(guide.substr(cmake_at, guide.find("```", cmake_at) - cmake_at)),
            std::string::npos);
}

TEST(PoolGuide, has_programs_that_find_what_it_says) {
  EXPECT_EQ(run_command({beside_this_program("squares")}).out, "1\n4\n9\n");
  for (const char* const name : {"pool_tour", "pool_failures"}) {
    const auto output = run_command({beside_this_program(name)});
    EXPECT_EQ(output.code, 0) << name << ": " << output.err;
  }
}

TEST(PoolGuide, names_the_place_of_a_crash) {
  const auto output = run_command({beside_this_program("pool_failures")});
  EXPECT_NE(output.out.find("SIGSEGV reading 0x0"), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("docs/examples/pool_failures.cpp:"), std::string::npos) << output.out;
}

TEST(PoolGuide, is_right_about_what_the_compiler_refuses) {
  const auto guide = text_of(source_dir / "docs/pool.md");
  const auto output = run_command(
      {BULKHEAD_COMPILER, "-std=c++20", "-fsyntax-only", "-DBULKHEAD_REFUSED",
       "-I" BULKHEAD_SOURCE_DIR "/include", BULKHEAD_SOURCE_DIR "/docs/examples/pool_refused.cpp"},
      {"LC_ALL=C"}, std::chrono::seconds(100));
  EXPECT_NE(output.code, 0);
  std::ifstream source(source_dir / "docs/examples/pool_refused.cpp");
  const std::string mark = "  // refused: ";
  int number = 0, refused = 0;
  for (std::string line; std::getline(source, line);) {
    ++number;
    if (line.rfind(mark, 0) != 0) continue;
    ++refused;
    const auto words = line.substr(mark.size());
    EXPECT_NE(output.err.find(words), std::string::npos) << words;
    EXPECT_NE(guide.find(words), std::string::npos) << words;
    const auto place = "pool_refused.cpp:" + std::to_string(number + 1) + ":";
    EXPECT_NE(output.err.find(place), std::string::npos) << place;
  }
  EXPECT_EQ(refused, 6);
}

}  // namespace
}  // namespace bulkhead::test
