// Configs as the command line meets them: every wrong one is refused with all its errors and exit code
// 78, and nothing is started; every one that we ship is good.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/command.hpp"
#include "tests/support/temporary_directory.hpp"
#include "tests/support/wrong_configs.hpp"

namespace bulkhead::test {
namespace {

const std::filesystem::path wrong = BULKHEAD_SOURCE_DIR "/tests/configs/wrong";

class ConfigCheck : public testing::Test {
 protected:
  CommandOutput bulkhead(const std::string& command, const std::string& path) {
    return run_command({BULKHEAD_PROGRAM, command, path},
                       {"BULKHEAD_RUNTIME_DIR=" + directory_.path("run")});
  }

  TemporaryDirectory directory_;
};

TEST_F(ConfigCheck, prints_every_error_of_a_wrong_config_and_exits_with_78) {
  for (const std::string& name : wrong_config_names(wrong)) {
    const auto file = wrong_config(wrong, name);
    const auto output = bulkhead("check", file.path);
    EXPECT_EQ(output.code, 78) << file.path;
    EXPECT_EQ(output.out, "") << file.path;
    if (file.check_machine) {
      EXPECT_EQ(output.err, file.issues);
    }
  }
}

TEST_F(ConfigCheck, lets_run_start_nothing_from_a_wrong_config) {
  for (const std::string& name : wrong_config_names(wrong)) {
    const auto file = wrong_config(wrong, name);
    const auto output = bulkhead("run", file.path);
    EXPECT_EQ(output.code, 78) << file.path;
    if (file.check_machine) {
      EXPECT_EQ(output.err, file.issues);
    }
    EXPECT_FALSE(std::filesystem::exists(directory_.path("run"))) << file.path;
  }
}

TEST_F(ConfigCheck, finds_nothing_wrong_with_the_configs_that_need_no_more_than_bulkhead) {
  for (const char* name : {"demo.json", "minimal.json", "recovery.json"}) {
    const auto output = bulkhead("check", std::string(BULKHEAD_SOURCE_DIR "/configs/") + name);
    EXPECT_EQ(output.code, 0) << output.err;
    EXPECT_EQ(output.err, "");
  }
}

TEST_F(ConfigCheck, lacks_at_most_the_interpreter_of_the_plain_programs) {
  const auto output = bulkhead("check", BULKHEAD_SOURCE_DIR "/configs/plain-programs.json");
  if (output.code == 0) return;
  EXPECT_EQ(output.code, 78);
  EXPECT_NE(output.err.find("/workers/web/command/0: \"python3\" is not found"), std::string::npos)
      << output.err;
  EXPECT_EQ(std::count(output.err.begin(), output.err.end(), '\n'), 1);
}

TEST_F(ConfigCheck, lacks_at_most_redis_itself) {
  const auto output = bulkhead("check", BULKHEAD_SOURCE_DIR "/configs/redis.json");
  if (output.code == 0) return;
  EXPECT_EQ(output.code, 78);
  EXPECT_NE(output.err.find("/workers/redis/command/0: \"redis-server\" is not found"),
            std::string::npos)
      << output.err;
  EXPECT_EQ(std::count(output.err.begin(), output.err.end(), '\n'), 1);
}

}  // namespace
}  // namespace bulkhead::test
