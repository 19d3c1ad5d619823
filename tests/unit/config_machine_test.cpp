// What depends on the machine that a config is checked on: files, programs, users, limits.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>

#include "tests/support/config_text.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::supervisor {
namespace {

using test::issues_in;
using test::one_worker;

class ConfigOnThisMachine : public testing::Test {
 protected:
  std::string make_program(const std::string& name, ::mode_t mode) {
    const std::string path = directory_.write(name, "#!/bin/sh\n");
    ::chmod(path.c_str(), mode);
    return path;
  }

  ParsedConfig parse(const std::string& text, const std::string& program_directory = "") {
    return parse_config(text, directory_.path("config.json"),
                        {program_directory.empty() ? directory_.path() : program_directory, true});
  }

  test::TemporaryDirectory directory_;
};

TEST_F(ConfigOnThisMachine, finds_a_bare_name_beside_bulkhead_before_path) {
  const std::string ours = make_program("true", 0755);
  const auto config =
      parse(R"({"version": 1, "name": "t", "workers": {"a": {"command": ["true"]}}})");
  ASSERT_TRUE(std::holds_alternative<SystemConfig>(config)) << issues_in(config);
  EXPECT_EQ(std::get<SystemConfig>(config).workers.at(0).executable, ours);
}

TEST_F(ConfigOnThisMachine, finds_a_bare_name_in_path) {
  const auto config =
      parse(R"({"version": 1, "name": "t", "workers": {"a": {"command": ["true"]}}})");
  ASSERT_TRUE(std::holds_alternative<SystemConfig>(config)) << issues_in(config);
  EXPECT_TRUE(std::get<SystemConfig>(config).workers.at(0).executable.ends_with("/true"));
}

TEST_F(ConfigOnThisMachine, names_the_nearest_program_beside_bulkhead) {
  make_program("echo-worker", 0755);
  EXPECT_NE(
      issues_in(
          parse(R"({"version": 1, "name": "t", "workers": {"a": {"command": ["ehco-worker"]}}})"))
          .find("(did you mean \"echo-worker\"?)"),
      std::string::npos);
}

TEST_F(ConfigOnThisMachine, names_the_file_that_is_not_executable) {
  const std::string path = make_program("tool", 0644);
  for (const char* command : {"tool", "./tool"}) {
    const auto text = R"({"version": 1, "name": "t", "workers": {"a": {"command": [")" +
                      std::string(command) + R"("]}}})";
    EXPECT_NE(issues_in(parse(text)).find(path + " is not executable (chmod +x it)"),
              std::string::npos);
  }
}

TEST_F(ConfigOnThisMachine, takes_what_is_set_in_the_environment) {
  ::setenv("BULKHEAD_TEST_PROGRAM", "true", 1);
  const auto config = parse(R"({"version": 1, "name": "t", "workers": {
    "a": {"command": ["/bin/${env:BULKHEAD_TEST_PROGRAM}", "${env:BULKHEAD_TEST_PROGRAM}"]}}})");
  ::unsetenv("BULKHEAD_TEST_PROGRAM");
  ASSERT_TRUE(std::holds_alternative<SystemConfig>(config)) << issues_in(config);
  EXPECT_EQ(std::get<SystemConfig>(config).workers.at(0).executable, "/bin/true");
  EXPECT_EQ(std::get<SystemConfig>(config).workers.at(0).command.at(1),
            "${env:BULKHEAD_TEST_PROGRAM}");
}

TEST_F(ConfigOnThisMachine, is_not_asked_by_a_lenient_reader) {
  const std::string text = one_worker(
      R"("working_dir": "gone", "user": "no-such-user", "env": {"A": "${env:BULKHEAD_TEST_UNSET}"})");
  EXPECT_NE(issues_in(parse(text)), "");
  EXPECT_EQ(issues_in(parse_config(text, directory_.path("config.json"), {"", false})), "");
}

// The following change this process for good, so they run in a child.
[[noreturn]] void report_with_hard_limit(::rlim_t descriptors,
                                         const std::function<std::string()>& issues) {
  const ::rlimit low{descriptors, descriptors};
  ::setrlimit(RLIMIT_NOFILE, &low);
  std::fputs(issues().c_str(), stderr);
  std::_Exit(0);
}

[[noreturn]] void report_without_rights(const std::function<std::string()>& issues) {
  const ::rlimit none{0, 0};
  ::setrlimit(RLIMIT_NICE, &none);
  if (::geteuid() == 0 && ::setuid(65534) != 0) std::_Exit(1);
  std::fputs(issues().c_str(), stderr);
  std::_Exit(0);
}

TEST_F(ConfigOnThisMachine, refuses_more_descriptors_than_the_hard_limit_with_the_remedy) {
  const std::string text = R"({"version": 1, "name": "t", "workers": {
    "a": {"command": ["/bin/true"]},
    "b": {"command": ["/bin/true"], "instances": 100}},
    "links": {"l": {"from": "a", "to": "b"}}})";
  EXPECT_EQ(issues_in(parse(text)), "");
  EXPECT_EXIT(
      report_with_hard_limit(256, [&] { return issues_in(parse(text)); }),
      testing::ExitedWithCode(0),
      "config:3:50: /workers/b/instances: 101 instances and 100 pairs of link ends need about 1170 "
      "descriptors, the hard limit is 256 .raise it with ulimit -n 1170, or have fewer instances.");
}

TEST_F(ConfigOnThisMachine, refuses_what_only_root_may_do) {
  const std::string text = one_worker(R"("user": "root", "cpu": {"nice": -20})");
  EXPECT_EXIT(report_without_rights([&] { return issues_in(parse(text)); }),
              testing::ExitedWithCode(0),
              "only root may run a worker as \"root\"(.|\n)*only root may set nice -20");
}

TEST_F(ConfigOnThisMachine, refuses_cpus_that_it_does_not_have) {
  EXPECT_NE(issues_in(parse(one_worker(R"("cpu": {"affinity": [1023]})")))
                .find("CPU 1023 is not ours to use"),
            std::string::npos);
}

TEST_F(ConfigOnThisMachine, cannot_be_read_where_there_is_no_file_or_no_end) {
  const auto lines = [](const std::string& path) {
    return issues_in(load_config(path, {"", false}).parsed);
  };
  EXPECT_EQ(
      lines(directory_.path("none.json")),
      "config:1:1: /: cannot be read: No such file or directory (expected a config file there)\n");
  EXPECT_EQ(
      lines(directory_.path()),
      "config:1:1: /: cannot be read: Is a directory (expected a config file, not a directory)\n");
  EXPECT_EQ(lines("/dev/zero"), "config:1:1: /: the file is too large (expected at most 16MiB)\n");
  EXPECT_EQ(lines("/dev/null"), "config:1:1: /: the file is empty (expected an object, {…})\n");
}

TEST_F(ConfigOnThisMachine, keeps_the_text_of_a_file_that_was_read) {
  const std::string path = directory_.write("config.json", one_worker(""));
  const LoadedConfig loaded = load_config(path, {"", true});
  EXPECT_EQ(loaded.text, one_worker(""));
  EXPECT_EQ(issues_in(loaded.parsed), "");
}

}  // namespace
}  // namespace bulkhead::supervisor
