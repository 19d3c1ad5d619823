// The command `bulkhead` against a running system: what a person and a script get to see.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>

#include "tests/support/command.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

constexpr const char* config = R"({
  "version": 1, "name": "pair",
  "workers": {
    "echo": { "command": ["echo-worker"], "instances": 2, "provides": ["echo"], "ready": { "type": "notify" },
              "restart": { "backoff": { "initial": "0ms" }, "limit": "none" } },
    "say":  { "command": ["/bin/sh", "-c", "echo one; echo two >&2; exec /bin/sleep 1000"] }
  }
})";

class CliWithSystem : public testing::Test {
 protected:
  void SetUp() override {
    path_ = directory_.write("pair.json", config);
    const auto started = bulkhead({"run", "--detach", path_});
    ASSERT_EQ(started.code, 0) << started.err;
    EXPECT_EQ(started.out, "pair is up\n");
  }
  void TearDown() override {
    bulkhead({"shutdown"});
    EXPECT_EQ(bulkhead({"status"}).code, 69);
  }

  CommandOutput bulkhead(std::vector<std::string> arguments,
                         std::vector<std::string> environment = {}) {
    arguments.insert(arguments.begin(), BULKHEAD_PROGRAM);
    environment.push_back("BULKHEAD_RUNTIME_DIR=" + directory_.path("run"));
    return run_command(std::move(arguments), std::move(environment));
  }

  json status() {
    const auto output = bulkhead({"status", "--json"});
    EXPECT_EQ(output.code, 0) << output.err;
    return json::parse(output.out);
  }
  json worker(const std::string& name) {
    const auto answer = status();
    for (const auto& row : answer.at("workers")) {
      if (row.at("name") == name) return row;
    }
    return nullptr;
  }
  // All events of a type about one instance, oldest first.
  std::vector<json> events_of(const std::string& name, const std::string& type) {
    std::vector<json> found;
    std::istringstream lines(bulkhead({"events", "--json"}).out);
    for (std::string line; std::getline(lines, line);) {
      auto event = json::parse(line);
      if (event.at("name") == name && event.at("type") == type) found.push_back(std::move(event));
    }
    return found;
  }

  TemporaryDirectory directory_;
  std::string path_;
};

TEST_F(CliWithSystem, status_has_the_keys_that_are_promised) {
  const auto answer = status();
  for (const char* key :
       {"name", "brain_pid", "keeper_pid", "brain_generation", "uptime_s", "http"}) {
    EXPECT_TRUE(answer.at("supervisor").contains(key)) << key;
  }
  ASSERT_EQ(answer.at("workers").size(), 3U);
  for (const auto& row : answer.at("workers")) {
    for (const char* key :
         {"name", "worker", "index", "state", "pid", "generation", "restarts", "uptime_s",
          "rss_bytes", "cpu_percent", "next_start_in_ms", "last_exit"}) {
      EXPECT_TRUE(row.contains(key)) << key;
    }
    EXPECT_EQ(row.at("state"), "ready");
  }
  EXPECT_TRUE(answer.at("links").is_array());
}

TEST_F(CliWithSystem, status_for_a_person_is_a_table_and_can_be_narrowed) {
  const auto all = bulkhead({"status"});
  EXPECT_NE(all.out.find("echo.1  ready"), std::string::npos) << all.out;
  const auto one = bulkhead({"status", "say"});
  EXPECT_NE(one.out.find("say.0"), std::string::npos) << one.out;
  EXPECT_EQ(one.out.find("echo.0"), std::string::npos) << one.out;
}

TEST_F(CliWithSystem, a_killed_worker_comes_back_with_another_pid_and_tells_of_its_death) {
  const auto before = worker("echo.0").at("pid").get<int>();
  const auto killed = bulkhead({"kill", "echo.0"});
  EXPECT_EQ(killed.code, 0) << killed.err;
  EXPECT_EQ(killed.out, "SIGKILL sent to echo.0\n");
  const std::string command = std::string(BULKHEAD_PROGRAM) + " events -f --json | grep -m 1 " +
                              R"('"generation":2,"name":"echo.0".*"worker.ready"')";
  const auto ready =
      run_command({"/bin/sh", "-c", command}, {"BULKHEAD_RUNTIME_DIR=" + directory_.path("run")});
  ASSERT_EQ(ready.code, 0) << ready.err;
  const auto after = worker("echo.0");
  EXPECT_NE(after.at("pid").get<int>(), before);
  EXPECT_EQ(after.at("last_exit").at("signal"), "SIGKILL");
  const auto exits = events_of("echo.0", "worker.exited");
  ASSERT_EQ(exits.size(), 1U);
  EXPECT_EQ(exits[0].at("pid"), before);
}

TEST_F(CliWithSystem, a_worker_that_is_unknown_is_an_error_that_names_those_there_are) {
  for (const char* command : {"kill", "stop", "start", "restart", "logs", "status"}) {
    const auto output = bulkhead({command, "ecko"});
    EXPECT_EQ(output.code, 1) << command;
    EXPECT_NE(output.err.find("echo, say"), std::string::npos) << output.err;
  }
}

TEST_F(CliWithSystem, stop_start_and_restart_return_when_the_state_is_reached) {
  const auto stopped = bulkhead({"stop", "echo.1"});
  EXPECT_EQ(stopped.out, "echo.1 stopped\n") << stopped.err;
  EXPECT_EQ(worker("echo.1").at("state"), "disabled");
  EXPECT_TRUE(worker("echo.1").at("pid").is_null());
  EXPECT_EQ(bulkhead({"start", "echo"}).out, "echo.0, echo.1 started\n");
  EXPECT_EQ(worker("echo.1").at("state"), "ready");
  const auto generation = worker("echo.1").at("generation").get<int>();
  EXPECT_EQ(bulkhead({"restart", "echo.1"}).out, "echo.1 restarted\n");
  EXPECT_EQ(worker("echo.1").at("generation").get<int>(), generation + 1);
}

TEST_F(CliWithSystem, call_prints_the_answer_as_json) {
  const auto answer = bulkhead({"call", "echo", "echo", R"({"deep": [1, null, "ü"]})"});
  EXPECT_EQ(answer.code, 0) << answer.err;
  EXPECT_EQ(json::parse(answer.out), json::parse(R"({"deep": [1, null, "ü"]})"));
}

TEST_F(CliWithSystem, call_tells_a_wrong_service_from_a_wrong_method) {
  const auto service = bulkhead({"call", "ekko", "echo"});
  EXPECT_EQ(service.code, 1);
  EXPECT_NE(service.err.find("ekko"), std::string::npos) << service.err;
  const auto method = bulkhead({"call", "echo", "shout"});
  EXPECT_EQ(method.code, 1);
  EXPECT_NE(method.err.find("shout"), std::string::npos) << method.err;
}

TEST_F(CliWithSystem, events_are_numbered_and_can_be_read_from_a_number_on) {
  std::istringstream lines(bulkhead({"events", "--json"}).out);
  std::uint64_t expected = 1;
  for (std::string line; std::getline(lines, line); ++expected) {
    const auto event = json::parse(line);
    EXPECT_EQ(event.at("seq").get<std::uint64_t>(), expected);
    EXPECT_TRUE(event.contains("t_ns") && event.contains("type") && event.contains("name")) << line;
  }
  EXPECT_GE(expected, 7U);  // three starting, three ready
  const auto later = bulkhead({"events", "--json", "--since", std::to_string(expected - 1)});
  EXPECT_EQ(json::parse(later.out).at("seq").get<std::uint64_t>(), expected - 1);
}

TEST_F(CliWithSystem, logs_show_both_streams) {
  // The logger writes on its own time: follow until both lines are there.
  const std::string command = std::string(BULKHEAD_PROGRAM) + " logs say.0 -f | head -n 2";
  const auto followed =
      run_command({"/bin/sh", "-c", command}, {"BULKHEAD_RUNTIME_DIR=" + directory_.path("run")});
  EXPECT_EQ(followed.out, "one\ntwo\n") << followed.err;
  EXPECT_EQ(bulkhead({"logs", "say", "-n", "1"}).out, "two\n");
}

TEST_F(CliWithSystem, a_second_system_of_the_same_name_is_refused) {
  const auto again = bulkhead({"run", "--detach", path_});
  EXPECT_EQ(again.code, 1);
  EXPECT_EQ(again.err.rfind("bulkhead: ", 0), 0U) << again.err;
  EXPECT_NE(again.err.find("pair is running already"), std::string::npos) << again.err;
}

TEST_F(CliWithSystem, with_two_systems_the_choice_is_asked_for) {
  const auto second = bulkhead({"--name", "other", "run", "--detach", path_});
  ASSERT_EQ(second.code, 0) << second.err;
  const auto unclear = bulkhead({"status"});
  EXPECT_EQ(unclear.code, 2);
  EXPECT_NE(unclear.err.find("other, pair"), std::string::npos) << unclear.err;
  EXPECT_EQ(bulkhead({"--name", "other", "status"}).code, 0);
  EXPECT_EQ(bulkhead({"--control", directory_.path("run/pair.sock"), "status"}).code, 0);
  EXPECT_EQ(bulkhead({"--name", "other", "shutdown"}).out, "other is down\n");
}

TEST_F(CliWithSystem, output_that_cannot_be_written_is_a_failure) {
  for (const char* words :
       {"status", "status --json", "events", "events --json", "call echo echo 1", "logs say"}) {
    for (const auto& [where, why] :
         {std::pair{" >/dev/full", "No space left on device"}, {" >&-", "Bad file descriptor"}}) {
      const auto output =
          run_command({"/bin/sh", "-c", BULKHEAD_PROGRAM " " + std::string(words) + where},
                      {"BULKHEAD_RUNTIME_DIR=" + directory_.path("run")});
      EXPECT_EQ(output.code, 1) << words << where;
      EXPECT_EQ(output.err, "bulkhead: cannot write to standard output: " + std::string(why) + "\n")
          << words << where;
    }
  }
}

TEST_F(CliWithSystem, a_control_path_of_a_running_system_is_refused_and_stays_its_own) {
  const auto socket = directory_.path("run/pair.sock");
  const auto thief =
      bulkhead({"--control", socket, "run", "--detach", directory_.write("thief.json", R"({
    "version": 1, "name": "thief", "workers": { "a": { "command": ["/bin/sleep", "1000"] } } })")});
  EXPECT_EQ(thief.code, 1) << thief.err;
  EXPECT_NE(thief.err.find(socket + " is the control socket of a system that is running (pid "),
            std::string::npos)
      << thief.err;
  EXPECT_FALSE(std::filesystem::exists(directory_.path("run/thief.lock")));
  EXPECT_EQ(status().at("supervisor").at("name"), "pair");
}

TEST_F(CliWithSystem, what_replaced_the_control_socket_outlives_the_system) {
  const auto socket = directory_.path("other.sock");
  ASSERT_EQ(bulkhead({"--control", socket, "run", "--detach", directory_.write("other.json", R"({
    "version": 1, "name": "other", "workers": { "a": { "command": ["/bin/sleep", "1000"] } } })")})
                .code,
            0);
  std::filesystem::rename(socket, directory_.path("moved.sock"));
  directory_.write("other.sock", "mine");
  EXPECT_EQ(bulkhead({"--control", directory_.path("moved.sock"), "shutdown"}).out,
            "other is down\n");
  EXPECT_TRUE(std::filesystem::is_regular_file(socket));
}

TEST_F(CliWithSystem, a_worker_that_cannot_get_ready_is_named_by_detach) {
  const auto config_path = directory_.write("bad.json", R"({
    "version": 1, "name": "bad",
    "workers": { "broken": { "command": ["/bin/false"], "restart": { "policy": "never" },
                             "ready": { "type": "notify", "timeout": "5s" } } } })");
  const auto output = bulkhead({"run", "--detach", config_path});
  EXPECT_EQ(output.code, 1);
  EXPECT_NE(output.err.find("broken.0"), std::string::npos) << output.err;
  bulkhead({"--name", "bad", "shutdown"});
}

TEST_F(CliWithSystem, a_system_that_ends_because_its_workers_failed_names_them) {
  const auto config_path = directory_.write("ends.json", R"({
    "version": 1, "name": "ends",
    "workers": { "broken": { "command": ["/bin/false"], "restart": { "policy": "never" } } } })");
  const auto output = bulkhead({"run", config_path});
  EXPECT_EQ(output.code, 1);
  EXPECT_NE(output.err.find("bulkhead: failed: broken.0: exited with code 1"), std::string::npos)
      << output.err;
}

}  // namespace
}  // namespace bulkhead::test
