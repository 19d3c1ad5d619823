// What a reload would do, as a table: two configs, and what becomes of each worker and link.
#include "supervisor/config_diff.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "supervisor/core_plan.hpp"
#include "supervisor/running_config.hpp"
#include "tests/support/config_text.hpp"

namespace bulkhead::supervisor {
namespace {

using test::parsed;

SystemConfig system(const std::string& workers, const std::string& links = "",
                    const std::string& rest = "") {
  return parsed(R"({"version": 1, "name": "t", "workers": {)" + workers + R"(}, "links": {)" +
                links + "}" + (rest.empty() ? "" : ", " + rest) + "}");
}

std::string worker(const std::string& name, const std::string& keys = "") {
  return "\"" + name + R"(": {"command": ["/bin/)" + name + "\"]" +
         (keys.empty() ? "" : ", " + keys) + "}";
}

// "a unchanged, b restarted": every worker.
std::string fates(const ConfigDiff& diff) {
  std::string text;
  for (const auto& worker : diff.workers) {
    text += (text.empty() ? "" : ", ") + worker.name + " " + std::string(to_string(worker.fate));
    if (worker.together) text += " together";
  }
  return text;
}

TEST(ConfigDiff, of_a_config_and_itself_is_empty) {
  const auto config = system(worker("a") + ", " + worker("b"), R"("l": {"from": "a", "to": "b"})");
  const auto diff = diff_configs(config, config);
  EXPECT_TRUE(diff.empty());
  EXPECT_EQ(fates(diff), "a unchanged, b unchanged");
  EXPECT_EQ(summary(diff), "nothing changes");
  EXPECT_FALSE(diff_json(diff)["changes"]);
}

TEST(ConfigDiff, restarts_a_worker_for_what_only_a_new_process_sees) {
  for (const std::string key :
       {R"("env": {"K": "V"})", R"("working_dir": "/tmp")", R"("limits": {"nofile": 99})",
        R"("cpu": {"affinity": "spread"})", R"("config": {"x": 1})", R"("runtime": false)",
        R"("watchdog": {"timeout": "1s"})", R"("provides": ["s"])", R"("user": "nobody")",
        R"("kind": "oneshot")", R"("sandbox": "strict")"}) {
    const auto diff = diff_configs(system(worker("a")), system(worker("a", key)));
    EXPECT_EQ(fates(diff), "a restarted") << key;
    EXPECT_FALSE(diff.workers[0].restarts_for.empty()) << key;
  }
}

TEST(ConfigDiff, changes_in_place_what_the_supervisor_alone_looks_at) {
  for (const std::string key :
       {R"("restart": {"policy": "on_failure"})", R"("stop": {"timeout": "1s"})",
        R"("logs": {"keep": 1})", R"("ready": {"timeout": "1s"})", R"("instances": 3)",
        R"("warm_spares": 2)"}) {
    const auto diff = diff_configs(system(worker("a")), system(worker("a", key)));
    EXPECT_EQ(fates(diff), "a changed") << key;
  }
}

TEST(ConfigDiff, changes_in_place_when_the_next_run_is_and_whose_end_counts) {
  const auto run = [](const std::string& keys) {
    return system(worker("a", R"("kind": "scheduled", )" + keys));
  };
  EXPECT_EQ(fates(diff_configs(run(R"("every": "1h")"), run(R"("every": "2s")"))), "a changed");
  EXPECT_EQ(
      fates(diff_configs(system(worker("a")), system(worker("a", R"("significant": "failure")")))),
      "a changed");
}

TEST(ConfigDiff, names_the_key_with_both_values) {
  const auto diff = diff_configs(system(worker("a", R"("env": {"L": "de", "K/1": "x"})")),
                                 system(worker("a", R"("env": {"L": "en", "M": "y"})")));
  const std::vector<KeyChange> expected{
      {"/env/K~11", "\"x\"", ""}, {"/env/L", "\"de\"", "\"en\""}, {"/env/M", "", "\"y\""}};
  ASSERT_EQ(diff.workers.size(), 1U);
  EXPECT_EQ(diff.workers[0].restarts_for, expected);
}

TEST(ConfigDiff, adds_and_removes_workers) {
  const auto diff = diff_configs(system(worker("a") + ", " + worker("b")),
                                 system(worker("c", R"("instances": 2)") + ", " + worker("a")));
  EXPECT_EQ(fates(diff), "c added, a unchanged, b removed");
  EXPECT_EQ(diff.worker("c")->instances, 2U);
  EXPECT_EQ(diff.worker("b")->was_instances, 1U);
  EXPECT_EQ(summary(diff), "1 added, 1 removed");
}

TEST(ConfigDiff, a_dependency_is_no_reason_to_restart) {
  const auto diff =
      diff_configs(system(worker("a") + ", " + worker("b")),
                   system(worker("a") + ", " + worker("b", R"("depends_on": {"a": "ready"})")));
  EXPECT_EQ(fates(diff), "a unchanged, b changed");
}

TEST(ConfigDiff, who_sees_more_peers_starts_again) {
  const std::string link = R"("l": {"type": "queue", "from": "a", "to": "b"})";
  const auto diff =
      diff_configs(system(worker("a") + ", " + worker("b"), link),
                   system(worker("a") + ", " + worker("b", R"("instances": 3)"), link));
  EXPECT_EQ(fates(diff), "a restarted, b changed");
  EXPECT_EQ(diff.worker("a")->given, std::vector<std::string>{"link l: b has 1 -> 3 instances"});
}

TEST(ConfigDiff, a_link_that_comes_or_goes_restarts_both_ends_and_nobody_else) {
  const std::string workers = worker("a") + ", " + worker("b") + ", " + worker("c");
  const auto without = system(workers), with = system(workers, R"("l": {"from": "a", "to": "b"})");
  EXPECT_EQ(fates(diff_configs(without, with)), "a restarted, b restarted, c unchanged");
  EXPECT_EQ(fates(diff_configs(with, without)), "a restarted, b restarted, c unchanged");
}

TEST(ConfigDiff, a_link_with_another_memory_stops_both_ends_before_either_starts) {
  const std::string workers = worker("a") + ", " + worker("b");
  const auto link = [&](const std::string& keys) {
    return system(workers, R"("l": {"from": "a", "to": "b", )" + keys + "}");
  };
  const auto was = link(R"("capacity": "1MiB")");
  const auto diff = diff_configs(was, link(R"("capacity": "2MiB")"));
  EXPECT_EQ(fates(diff), "a restarted together, b restarted together");
  ASSERT_EQ(diff.links.size(), 1U);
  EXPECT_TRUE(diff.links[0].discards);
  EXPECT_TRUE(diff_configs(was, link(R"("transport": "unix")")).links[0].discards);
  const auto kept = diff_configs(was, link(R"("wait": "block")"));
  EXPECT_FALSE(kept.links[0].discards);
  EXPECT_EQ(fates(kept), "a restarted, b restarted");
}

TEST(ConfigDiff, a_setting_of_the_system_restarts_nobody) {
  const auto diff =
      diff_configs(system(worker("a"), "", R"("supervisor": {"max_parallel_starts": 2})"),
                   system(worker("a"), "", R"("supervisor": {"max_parallel_starts": 3})"));
  EXPECT_EQ(fates(diff), "a unchanged");
  EXPECT_FALSE(diff.empty());
  ASSERT_EQ(diff.system.size(), 1U);
  EXPECT_EQ(diff.system[0], (KeyChange{"/supervisor/max_parallel_starts", "2", "3"}));
}

TEST(ConfigDiff, metrics_come_and_go_without_a_restart) {
  const auto diff =
      diff_configs(system(worker("a"), "", R"("supervisor": {})"),
                   system(worker("a"), "", R"("supervisor": {"http": "127.0.0.1:0"})"));
  EXPECT_EQ(fates(diff), "a unchanged");
  ASSERT_EQ(diff.system.size(), 1U);
  EXPECT_EQ(diff.system[0], (KeyChange{"/supervisor/http", "", "\"127.0.0.1:0\""}));
}

TEST(ConfigDiff, the_same_word_in_another_directory_is_another_program) {
  const std::string text =
      R"({"version": 1, "name": "t", "workers": {"a": {"command": ["./a"], "working_dir": "/"}}})";
  const auto diff =
      diff_configs(parsed(text, "/etc/one/config.json"), parsed(text, "/etc/two/config.json"));
  EXPECT_EQ(fates(diff), "a restarted");
  EXPECT_EQ(diff.workers[0].restarts_for.front(),
            (KeyChange{"/command/0", "\"/etc/one/a\"", "\"/etc/two/a\""}));
}

RunningConfig some_running_config() {
  RunningConfig running;
  running.serial = 3;
  running.revision = 5;
  running.now = {"/etc/t.json",
                 R"({"version": 1, "name": "t", "workers": {"a": {"command": ["/bin/a"]}}})",
                 {{"a", 2}}};
  running.before = ConfigVersion{
      "/etc/t.json",
      R"({"version": 1, "name": "t", "workers": {"a": {"command": ["/bin/a"], "instances": 4},
                                                  "b": {"command": ["/bin/b"]}}})",
      {}};
  running.leaving = {{"a", 2, 2}, {"b", 0, 1}};
  running.seats = {{"a.0", 0}, {"a.1", 1}, {"a.2", 2}, {"a.3", 3}, {"b.0", 4}};
  running.rolling = {{"a.0", 7}};
  running.together = {{"a.1", 1}};
  running.emptied = {"l"};
  running.touched = {"a.0", "a.1"};
  running.operation = ~std::uint64_t{0};
  running.summary = "1 removed";
  return running;
}

TEST(RunningConfig, is_read_as_it_was_written) {
  const auto text = to_text(some_running_config());
  const auto again = read_running_config(text, "t");
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(to_text(*again), text);
  EXPECT_EQ(again->operation, ~std::uint64_t{0});
  EXPECT_FALSE(read_running_config("{}", "t"));
  EXPECT_FALSE(read_running_config("not json", "t"));
}

TEST(RunningConfig, puts_those_that_leave_behind_the_config_in_force) {
  const auto config = assemble(some_running_config(), "/opt/bin");
  ASSERT_TRUE(config) << config.error().to_string();
  const Plan plan = make_plan(*config);
  std::string names;
  for (const auto& instance : plan.instances) {
    names += instance.name + (plan.workers[instance.worker_index].leaving ? " leaves, " : ", ");
  }
  EXPECT_EQ(names, "a.0, a.1, a.2 leaves, a.3 leaves, b.0 leaves, ");
  EXPECT_EQ(config->find_worker("a")->instances, 2U);
  EXPECT_EQ(config->find_worker("b"), nullptr);
}

}  // namespace
}  // namespace bulkhead::supervisor
