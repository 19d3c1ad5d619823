// "Did you mean": which known word is offered for a wrong one.
#include "base/nearest.hpp"

#include <gtest/gtest.h>

namespace bulkhead::base {
namespace {

const std::vector<std::string_view> keys{"restart", "ready", "command", "working_dir", "env"};

TEST(Nearest, forgives_swapped_missing_extra_and_wrong_letters) {
  EXPECT_EQ(nearest("restrat", keys), "restart");
  EXPECT_EQ(nearest("comand", keys), "command");
  EXPECT_EQ(nearest("commmand", keys), "command");
  EXPECT_EQ(nearest("resdy", keys), "ready");
}

TEST(Nearest, ignores_case_and_the_kind_of_dash) {
  EXPECT_EQ(nearest("WORKING-DIR", keys), "working_dir");
}

TEST(Nearest, knows_abbreviations_and_parts) {
  EXPECT_EQ(nearest("cmd", keys), "command");
  EXPECT_EQ(nearest("environment", keys), "env");
  EXPECT_EQ(nearest("TERM", {"SIGINT", "SIGTERM"}), "SIGTERM");
}

TEST(Nearest, offers_nothing_when_nothing_is_near) {
  EXPECT_EQ(nearest("replicas", keys), std::nullopt);
  EXPECT_EQ(nearest("", keys), std::nullopt);
  EXPECT_EQ(nearest("restart", {}), std::nullopt);
}

TEST(Nearest, takes_the_first_of_equals) { EXPECT_EQ(nearest("ab", {"aa", "bb"}), "aa"); }

TEST(Nearest, is_quick_for_words_of_any_length) {
  const std::string huge(1 << 20, 'x');
  EXPECT_EQ(nearest(huge, {huge}), huge);
}

}  // namespace
}  // namespace bulkhead::base
