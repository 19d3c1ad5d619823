// docs/spmd.md holds: what it quotes is in docs/examples, and that program does what it says.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/command.hpp"

namespace bulkhead::test {
namespace {

const std::filesystem::path docs = BULKHEAD_DOCS;

std::string words_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(SpmdGuide, quotes_only_code_that_is_compiled) {
  const auto example = words_of(docs / "examples" / "spmd_pi.cpp");
  const auto guide = words_of(docs / "spmd.md");
  const std::string fence = "```cpp\n";
  int blocks = 0;
  for (auto at = guide.find(fence); at != std::string::npos; at = guide.find(fence, at)) {
    at += fence.size();
    const auto block = guide.substr(at, guide.find("```", at) - at);
    EXPECT_NE(example.find(block), std::string::npos) << block;
    ++blocks;
  }
  EXPECT_GE(blocks, 3);
}

TEST(SpmdGuide, has_an_example_that_prints_what_it_says) {
  const auto folder = std::filesystem::canonical("/proc/self/exe").parent_path();
  const auto ran = run_command({(folder / "spmd_pi").string()});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("pi is 3.1415926536\n"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("rank 2: the task's worker died: SIGKILL\n"), std::string::npos)
      << ran.out;
  for (const char* const rank :
       {"rank 0: rank 2 died", "rank 1: rank 2 died", "rank 3: rank 2 died"}) {
    EXPECT_NE(ran.out.find(rank), std::string::npos) << ran.out;
  }
}

}  // namespace
}  // namespace bulkhead::test
