// The command `bulkhead` as a script sees it: exit codes, what is on stdout and what on stderr.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/support/command.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::test {
namespace {

class Cli : public testing::Test {
 protected:
  CommandOutput bulkhead(std::vector<std::string> arguments,
                         std::vector<std::string> environment = {}) {
    arguments.insert(arguments.begin(), BULKHEAD_PROGRAM);
    environment.push_back("BULKHEAD_RUNTIME_DIR=" + directory_.path("run"));
    return run_command(std::move(arguments), std::move(environment));
  }

  static std::size_t lines(const std::string& text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  // Every failure is one line that begins with our name, and nothing on stdout.
  static void expect_complaint(const CommandOutput& output, int code, const std::string& about) {
    EXPECT_EQ(output.code, code) << output.err;
    EXPECT_EQ(output.out, "");
    EXPECT_EQ(lines(output.err), 1U) << output.err;
    EXPECT_EQ(output.err.rfind("bulkhead: ", 0), 0U) << output.err;
    EXPECT_NE(output.err.find(about), std::string::npos) << output.err;
  }

  TemporaryDirectory directory_;
};

TEST_F(Cli, an_unknown_command_is_a_usage_error_that_names_the_nearest) {
  expect_complaint(bulkhead({"statsu"}), 2, "\"statsu\" (did you mean status?)");
  expect_complaint(bulkhead({"--name", "demo", "evnets", "-f"}), 2, "did you mean events?");
  expect_complaint(bulkhead({"chekc", "a.json"}), 2, "did you mean check?");
}

TEST_F(Cli, a_command_that_is_near_nothing_gets_the_list) {
  const auto output = bulkhead({"xylophone"});
  expect_complaint(output, 2, "there are run, check");
}

TEST_F(Cli, usage_errors_name_the_command_whose_help_explains) {
  expect_complaint(bulkhead({}), 2, "bulkhead --help");
  expect_complaint(bulkhead({"kill"}), 2, "bulkhead kill --help");
  expect_complaint(bulkhead({"status", "--colour"}), 2, "--colour");
  expect_complaint(bulkhead({"events", "--since", "yesterday"}), 2, "yesterday");
  expect_complaint(bulkhead({"logs", "echo", "-n", "-3"}), 2, "-3");
  expect_complaint(bulkhead({"run", "a.json", "--log-format", "xml"}), 2, "xml");
  expect_complaint(bulkhead({"--name", "a", "--control", "b", "status"}), 2, "--name");
}

TEST_F(Cli, a_signal_that_does_not_exist_is_a_usage_error) {
  expect_complaint(bulkhead({"kill", "echo", "--signal", "SIGKIL"}), 2, "SIGKIL");
  expect_complaint(bulkhead({"kill", "echo", "--signal", "0"}), 2, "\"0\"");
  expect_complaint(bulkhead({"kill", "echo", "--signal", "9x"}), 2, "9x");
}

TEST_F(Cli, a_request_that_is_not_json_is_a_usage_error) {
  expect_complaint(bulkhead({"call", "math", "add", "[1,2"}), 2, "[1,2");
}

TEST_F(Cli, every_command_that_needs_a_system_leaves_with_69_when_there_is_none) {
  const std::vector<std::vector<std::string>> commands{
      {"status"},       {"status", "--json"}, {"kill", "echo"},
      {"stop", "echo"}, {"start", "echo"},    {"restart", "echo"},
      {"logs", "echo"}, {"events"},           {"call", "math", "add"},
      {"shutdown"}};
  for (const auto& command : commands) {
    SCOPED_TRACE(command.front());
    expect_complaint(bulkhead(command), 69, "bulkhead run");
  }
  expect_complaint(bulkhead({"--name", "demo", "status"}), 69, "demo");
  expect_complaint(bulkhead({"--control", directory_.path("no.sock"), "status"}), 69, "no.sock");
}

TEST_F(Cli, help_goes_to_stdout_and_is_no_failure) {
  const auto all = bulkhead({"--help"});
  EXPECT_EQ(all.code, 0);
  EXPECT_EQ(all.err, "");
  for (const char* command :
       {"run", "check", "status", "kill", "stop", "start", "restart", "logs", "events", "call",
        "shutdown", "schema", "defaults", "doctor", "version", "bench", "simulate", "map", "lab"}) {
    EXPECT_NE(all.out.find(std::string("\n  ") + command + " "), std::string::npos) << command;
  }
  const auto one = bulkhead({"kill", "--help"});
  EXPECT_EQ(one.code, 0);
  EXPECT_NE(one.out.find("--signal"), std::string::npos);
}

TEST_F(Cli, version_says_what_exactly_is_running) {
  const auto output = bulkhead({"version"});
  EXPECT_EQ(output.code, 0);
  EXPECT_EQ(output.out.rfind("bulkhead " BULKHEAD_VERSION "\nbuild-id ", 0), 0U) << output.out;
  EXPECT_NE(output.out.find("\ncompiler "), std::string::npos);
  EXPECT_NE(output.out.find("\ncommit "), std::string::npos);
}

TEST_F(Cli, doctor_tells_of_each_feature_that_matters) {
  const auto output = bulkhead({"doctor"});
  EXPECT_EQ(output.code, 0) << output.out;
  for (const char* feature :
       {"pidfd", "futex_waitv", "membarrier", "memfd seals", "close_range", "seccomp", "landlock",
        "cgroups", "descriptors", "pid_max", "yama", "sd_notify", "kcmp"}) {
    EXPECT_NE(output.out.find(feature), std::string::npos) << feature;
  }
  EXPECT_EQ(output.out.find('\033'), std::string::npos) << "no colours into a pipe";
}

TEST_F(Cli, check_prints_every_error_with_its_place_and_leaves_with_78) {
  const auto config = directory_.write("wrong.json", R"({
  "version": 1,
  "name": "wrong",
  "workers": {
    "a": { "comand": ["/bin/true"] },
    "b": { "command": ["/bin/true"], "stop": { "timeout": 5 } },
    "c": { "command": ["/bin/true"], "depends_on": { "nobody": "ready" } }
  }
})");
  const auto output = bulkhead({"check", config});
  EXPECT_EQ(output.code, 78);
  EXPECT_EQ(output.out, "");
  EXPECT_NE(output.err.find(config + ":5:"), std::string::npos) << output.err;
  EXPECT_NE(output.err.find(config + ":6:"), std::string::npos) << output.err;
  EXPECT_NE(output.err.find(config + ":7:"), std::string::npos) << output.err;
  EXPECT_NE(output.err.find("command"), std::string::npos) << output.err;
  EXPECT_EQ(output.err.find("bulkhead: "), std::string::npos)
      << "errors in a config have no prefix";
}

TEST_F(Cli, simulate_prints_a_timeline_without_a_system_and_without_the_programs) {
  const auto config = directory_.write("sim.json", R"({
    "version": 1, "name": "sim", "workers": { "echo": { "command": ["./no-such-program"] } } })");
  const auto output = bulkhead({"simulate", config, "echo crashes every 2s for 4s; stop at 5s"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(output.err, "");
  EXPECT_NE(
      output.out.find("  0:00:02.000  echo.0  died, SIGSEGV\n  0:00:02.001  echo.0  starting\n"),
      std::string::npos)
      << output.out;
  EXPECT_NE(output.out.find("  0:00:05.010  system  over, exit code 0\n"), std::string::npos)
      << output.out;

  const auto as_json = bulkhead({"simulate", "--json", config, "echo exits 3 at 2s"});
  std::istringstream stream(as_json.out);
  std::vector<nlohmann::json> events;
  for (std::string line; std::getline(stream, line);) {
    events.push_back(nlohmann::json::parse(line));
    EXPECT_EQ(events.back()["seq"], events.size());
  }
  ASSERT_GT(events.size(), 4U);
  EXPECT_EQ(events[0]["type"], "worker.starting");
  EXPECT_EQ(events[0]["name"], "echo.0");
  EXPECT_EQ(events[3]["type"], "worker.exited");
  EXPECT_EQ(events[3]["exit"]["code"], 3);
  EXPECT_EQ(events.back()["type"], "simulation.end");
  EXPECT_EQ(events.back()["workers"][0]["restarts"], 1);
}

TEST_F(Cli, simulate_tells_what_is_wrong_with_a_script_or_a_config) {
  const auto config = directory_.write("sim.json", R"({
    "version": 1, "name": "sim", "workers": { "echo": { "command": ["/bin/true"] } } })");
  expect_complaint(bulkhead({"simulate", config, "echo crahses"}), 2, "did you mean \"crashes\"?");
  expect_complaint(bulkhead({"simulate", config, "stop", "--for", "5"}), 2, "--for");
  expect_complaint(bulkhead({"simulate", config}), 2, "SCRIPT");
  const auto wrong = directory_.write("wrong.json", R"({"version": 1, "name": "w", "workers": 3})");
  EXPECT_EQ(bulkhead({"simulate", wrong, "stop"}).code, 78);
}

TEST_F(Cli, run_refuses_what_check_refuses_and_starts_nothing) {
  const auto config =
      directory_.write("wrong.json", R"({"version": 1, "name": "wrong", "workers": 3})");
  for (const auto& arguments :
       {std::vector<std::string>{"run", config}, {"run", "--detach", config}}) {
    const auto output = bulkhead(arguments);
    EXPECT_EQ(output.code, 78);
    EXPECT_NE(output.err.find(config + ":1:"), std::string::npos) << output.err;
  }
  expect_complaint(bulkhead({"status"}), 69, "bulkhead run");
}

TEST_F(Cli, a_config_that_cannot_be_read_is_a_bad_config) {
  expect_complaint(bulkhead({"check", directory_.path("absent.json")}), 78, "absent.json");
  expect_complaint(bulkhead({"check", directory_.path()}), 78, "directory");
  expect_complaint(bulkhead({"defaults", "--effective", directory_.path("absent.json")}), 78,
                   "absent.json");
}

TEST_F(Cli, a_control_path_where_something_else_lies_is_refused_and_kept) {
  const auto config = directory_.write("good.json", R"({
    "version": 1, "name": "good", "workers": { "a": { "command": ["/bin/sleep", "1000"] } } })");
  const auto file = directory_.write("precious", "mine");
  std::filesystem::create_directory(directory_.path("place"));
  std::filesystem::create_symlink(file, directory_.path("link"));
  for (const char* name : {"precious", "place", "link"}) {
    for (const auto& run : {std::vector<std::string>{"run"}, {"run", "--detach"}}) {
      std::vector<std::string> words{"--control", directory_.path(name)};
      words.insert(words.end(), run.begin(), run.end());
      words.push_back(config);
      expect_complaint(bulkhead(words), 1, "give another path");
      EXPECT_FALSE(std::filesystem::exists(directory_.path("run/good.lock"))) << name;
    }
  }
  EXPECT_EQ(std::filesystem::file_size(file), 4U);
}

TEST_F(Cli, a_start_that_fails_leaves_no_name_behind) {
  const auto config = directory_.write("good.json", R"({
    "version": 1, "name": "good", "workers": { "a": { "command": ["/bin/sleep", "1000"] } } })");
  std::filesystem::create_directories(directory_.path("run/good.sock"));
  std::filesystem::permissions(directory_.path("run"), std::filesystem::perms::owner_all);
  expect_complaint(bulkhead({"run", config}), 1, "good.sock is a directory");
  EXPECT_FALSE(std::filesystem::exists(directory_.path("run/good.lock")));
  std::filesystem::remove(directory_.path("run/good.sock"));
  expect_complaint(bulkhead({"--control", directory_.path(std::string(110, 'x')), "run", config}),
                   2, "the kernel allows 107");
  // Where the detached keeper's log should lie.
  directory_.write("run/good", "");
  EXPECT_NE(bulkhead({"run", "--detach", config}).code, 0);
  std::filesystem::remove(directory_.path("run/good"));
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path("run")));
}

TEST_F(Cli, a_config_without_end_is_refused) {
  expect_complaint(bulkhead({"check", "/dev/zero"}), 78, "at most 16MiB");
}

TEST_F(Cli, a_config_that_cannot_be_read_gets_a_remedy) {
  expect_complaint(
      bulkhead({"check", directory_.path("absent.json")}), 78,
      "absent.json: cannot be read: No such file or directory (expected a config file");
  expect_complaint(bulkhead({"check", directory_.path()}), 78, "not a directory)");
}

TEST_F(Cli, a_nul_in_a_config_is_told_once) {
  const auto config = directory_.write("nul.json", R"({"version": 1, "name": "nul", "workers": {
    "a": {"command": ["sl\u0000eep"], "env": {"a\u0000b": "c"}}}})");
  const auto output = bulkhead({"check", config});
  EXPECT_EQ(output.code, 78);
  EXPECT_EQ(lines(output.err), 2U) << output.err;
  EXPECT_EQ(output.err.find("is no program"), std::string::npos) << output.err;
  EXPECT_EQ(output.err.find("'='"), std::string::npos) << output.err;
}

TEST_F(Cli, a_word_that_is_unknown_is_named) {
  expect_complaint(bulkhead({"--foo"}), 2, "there is no option \"--foo\"");
  expect_complaint(bulkhead({"--nmae", "x", "status"}), 2, "did you mean --name?");
  expect_complaint(bulkhead({"bench", "latncy"}), 2, "\"latncy\" (did you mean latency?)");
  expect_complaint(bulkhead({"bench", "foo", "--quick"}), 2, "\"foo\"");
  expect_complaint(bulkhead({"bench", "pool", "--quik"}), 2, "--quik");
  expect_complaint(bulkhead({"bench", "pool", "--size", "8"}), 2, "--size");
}

TEST_F(Cli, a_number_or_name_that_cannot_be_meant_is_a_usage_error) {
  expect_complaint(bulkhead({"events", "--since", "-1"}), 2, "-1 is no number");
  expect_complaint(bulkhead({"events", "--since", "99999999999999999999999"}), 2, "is no number");
  expect_complaint(bulkhead({"--name", "", "status"}), 2, "--name");
  expect_complaint(bulkhead({"--control", "", "status"}), 2, "--control");
}

TEST_F(Cli, a_file_that_figures_cannot_go_to_is_told_before_the_measurement) {
  for (const char* kind : {"latency", "throughput", "recovery", "pool"}) {
    const auto output = bulkhead({"bench", kind, "--json", directory_.path("no/such/place")});
    expect_complaint(output, 1, "no/such/place: No such file or directory");
  }
}

TEST_F(Cli, output_that_cannot_be_written_is_a_failure) {
  const auto config = directory_.write(
      "good.json",
      R"({"version": 1, "name": "good", "workers": {"a": {"command": ["/bin/true"]}}})");
  const auto shell = [&](const std::string& words, const std::string& where) {
    return run_command({"/bin/sh", "-c", BULKHEAD_PROGRAM " " + words + " " + where});
  };
  for (const std::string words : {"schema", "version", "doctor", "--help", "kill --help", "check ",
                                  "defaults --effective "}) {
    const auto command = words.ends_with(' ') ? words + config : words;
    expect_complaint(shell(command, ">/dev/full"), 1,
                     "cannot write to standard output: No space left on device");
    expect_complaint(shell(command, ">&-"), 1,
                     "cannot write to standard output: Bad file descriptor");
    EXPECT_EQ(shell(command, "| true").err, "") << command;
  }
}

TEST_F(Cli, a_good_config_passes_and_shows_its_defaults) {
  const auto config = directory_.write(
      "good.json",
      R"({"version": 1, "name": "good", "workers": {"a": {"command": ["/bin/true"]}}})");
  const auto checked = bulkhead({"check", config});
  EXPECT_EQ(checked.code, 0) << checked.err;
  EXPECT_EQ(checked.err, "");
  const auto effective = bulkhead({"defaults", "--effective", config});
  EXPECT_EQ(effective.code, 0) << effective.err;
  const auto json = nlohmann::json::parse(effective.out);
  EXPECT_EQ(json.at("workers").at("a").at("instances"), 1);
  EXPECT_EQ(json.at("workers").at("a").at("stop").at("timeout"), "5s");
}

TEST_F(Cli, schema_prints_a_json_schema) {
  const auto output = bulkhead({"schema"});
  EXPECT_EQ(output.code, 0) << output.err;
  const auto schema = nlohmann::json::parse(output.out);
  EXPECT_TRUE(schema.contains("$schema"));
  EXPECT_TRUE(schema.at("properties").contains("workers"));
}

}  // namespace
}  // namespace bulkhead::test
