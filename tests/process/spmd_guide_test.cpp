// docs/spmd.md holds: what it quotes is in docs/examples, and that program does what it says.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/command.hpp"
#include "tests/support/quoted_code.hpp"

namespace bulkhead::test {
namespace {

const std::filesystem::path docs = BULKHEAD_DOCS;

TEST(SpmdGuide, quotes_only_code_that_is_compiled) {
  EXPECT_GE(check_quoted_code(docs, "spmd.md"), 3);
}

TEST(SpmdGuide, has_an_example_that_prints_what_it_says) {
  const auto ran = run_command({beside_this_program("spmd_pi")});
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
