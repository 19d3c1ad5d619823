// Every file of tests/configs/wrong is refused with exactly the lines that it expects.
#include <gtest/gtest.h>

#include <cstdlib>

#include "supervisor/config.hpp"
#include "tests/support/wrong_configs.hpp"

namespace bulkhead::supervisor {
namespace {

const std::filesystem::path directory = BULKHEAD_SOURCE_DIR "/tests/configs/wrong";

class WrongConfig : public testing::TestWithParam<std::string> {};

TEST_P(WrongConfig, is_refused_with_every_error_its_position_and_the_remedy) {
  ::unsetenv("BULKHEAD_TEST_UNSET");
  const auto file = test::wrong_config(directory, GetParam());
  ASSERT_FALSE(file.issues.empty()) << file.path << " expects nothing";

  const auto parsed = parse_config(file.text, file.path, {"/no/such/bin", file.check_machine});
  ASSERT_TRUE(std::holds_alternative<std::vector<ConfigIssue>>(parsed)) << "accepted";
  std::string found;
  for (const ConfigIssue& issue : std::get<std::vector<ConfigIssue>>(parsed)) {
    const std::string line = format_issue(file.path, issue);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_NE(issue.what.find('('), std::string::npos) << "no remedy: " << line;
    found += line + "\n";
  }
  EXPECT_EQ(found, file.issues);
}

INSTANTIATE_TEST_SUITE_P(Files, WrongConfig, testing::ValuesIn(test::wrong_config_names(directory)),
                         [](const auto& test) { return test.param; });

TEST(WrongConfigs, are_at_least_forty) {
  EXPECT_GE(test::wrong_config_names(directory).size(), 40U);
}

}  // namespace
}  // namespace bulkhead::supervisor
