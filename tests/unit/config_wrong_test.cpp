// Every file of tests/configs/wrong is refused with exactly the lines that it carries itself: "//! " begins
// an expected line, without the file's name; {DIR} is the file's directory. "//? lenient" leaves the
// machine out.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "supervisor/config.hpp"

namespace bulkhead::supervisor {
namespace {

const std::filesystem::path directory = BULKHEAD_SOURCE_DIR "/tests/configs/wrong";

std::vector<std::string> wrong_configs() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct Expectation {
  std::string issues;
  bool check_machine = true;
};

Expectation expectation_in(const std::string& text) {
  Expectation expectation;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line == "//? lenient") expectation.check_machine = false;
    if (!line.starts_with("//! ")) continue;
    line.erase(0, 4);
    for (auto at = line.find("{DIR}"); at != std::string::npos; at = line.find("{DIR}")) {
      line.replace(at, 5, directory.string());
    }
    expectation.issues += line + "\n";
  }
  return expectation;
}

class WrongConfig : public testing::TestWithParam<std::string> {};

TEST_P(WrongConfig, is_refused_with_every_error_its_position_and_the_remedy) {
  ::unsetenv("BULKHEAD_TEST_UNSET");
  const std::string path = (directory / (GetParam() + ".json")).string();
  const auto text = base::read_file(path);
  ASSERT_TRUE(text) << path;
  const Expectation expectation = expectation_in(*text);
  ASSERT_FALSE(expectation.issues.empty()) << path << " expects nothing";

  const auto parsed = parse_config(*text, path, {"/no/such/bin", expectation.check_machine});
  ASSERT_TRUE(std::holds_alternative<std::vector<ConfigIssue>>(parsed)) << "accepted";
  std::string found;
  for (const ConfigIssue& issue : std::get<std::vector<ConfigIssue>>(parsed)) {
    const std::string line = format_issue(path, issue);
    ASSERT_TRUE(line.starts_with(path + ":"));
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_NE(issue.what.find('('), std::string::npos) << "no remedy: " << line;
    found += line.substr(path.size() + 1) + "\n";
  }
  EXPECT_EQ(found, expectation.issues);
}

INSTANTIATE_TEST_SUITE_P(Files, WrongConfig, testing::ValuesIn(wrong_configs()),
                         [](const auto& test) { return test.param; });

TEST(WrongConfigs, are_at_least_forty) { EXPECT_GE(wrong_configs().size(), 40U); }

}  // namespace
}  // namespace bulkhead::supervisor
