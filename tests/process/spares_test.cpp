// Spares in whole systems: the process that waited becomes the instance that died, whoever else dies meanwhile.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

// Workers as they stand, in a system whose dead come back at once.
std::string system_of(const std::string& workers, const std::string& rest = "") {
  return R"({"version": 1, "name": "warm",
    "defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"}}, "workers": {)" +
         workers + "}" + (rest.empty() ? "" : ", " + rest) + "}";
}

std::string echo(int spares, const std::string& more = "") {
  return R"("echo": {"command": ["echo-worker"], "provides": ["echo"],
             "ready": {"type": "notify"}, "warm_spares": )" +
         std::to_string(spares) + (more.empty() ? "" : ", " + more) + "}";
}

std::string role(const std::string& name, const std::string& more = "") {
  return "\"" + name + R"(": {"command": [")" SPARE_ROLES R"(", ")" + name +
         R"("], "ready": {"type": "notify"}, "warm_spares": 1)" +
         (more.empty() ? "" : ", " + more) + "}";
}

bool spares_ready(const json& status) {
  for (const auto& spare : status["spares"]) {
    if (spare["state"] != "ready") return false;
  }
  return all_ready(status);
}

json spare(const json& status, const std::string& name) {
  for (const auto& row : status["spares"]) {
    if (row["name"] == name) return row;
  }
  return json();
}

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A system in which everybody who is wanted is there.
class Warm : public RunningSystem {
 public:
  explicit Warm(const std::string& config) : RunningSystem("warm", config) { (void)await_warm(); }
  json await_warm() { return await(spares_ready, "all instances and spares"); }
  std::string log(const std::string& name) const {
    return read(directory().path("run/warm/logs/" + name + ".log"));
  }
  json with(const std::string& text) const {
    return {{"path", directory().path("other.json")}, {"text", text}};
  }
};

TEST(Spares, the_process_that_waited_becomes_the_instance_that_died) {
  Warm system(system_of(echo(1)));
  for (int round = 1; round <= 10; ++round) {
    const auto before = system.await_warm();
    const int pid = row(before, "echo.0")["pid"], waiting = spare(before, "echo+spare.0")["pid"];
    ASSERT_NE(pid, waiting);
    EXPECT_EQ(row(before, "echo.0")["spares"], json({{"wanted", 1}, {"ready", 1}}));
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    const auto reborn = system.await_reborn("echo.0", pid);
    EXPECT_EQ(reborn["pid"], waiting) << "round " << round;
    EXPECT_EQ(reborn["restarts"], round);
    EXPECT_EQ(reborn["generation"], round + 1);
    EXPECT_EQ(reborn["last_exit"]["signal"], "SIGKILL");
  }
  const auto after = system.await_warm();
  EXPECT_EQ(spare(after, "echo+spare.0")["deaths"], 0);
  const auto promoted = system.events_of("echo.0", "worker.promoted");
  ASSERT_EQ(promoted.size(), 10U);
  EXPECT_EQ(promoted[0]["text"], "was echo+spare.0");
  EXPECT_EQ(system.events_of("echo.0", "incident.closed").size(), 10U);
}

TEST(Spares, one_that_steps_in_knows_who_it_is_and_speaks_in_its_name) {
  Warm system(system_of(role("tell", R"("instances": 2, "cpu": {"affinity": "spread"})")));
  for (const std::string name : {"tell.1", "tell.0"}) {
    const auto before = system.await_warm();
    const int pid = row(before, name)["pid"];
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    const int now = system.await_reborn(name, pid)["pid"];
    EXPECT_EQ(now, spare(before, "tell+spare.0")["pid"]);
    const std::string index = name.substr(name.size() - 1);
    const std::string as_told = name + " " + index + " 2\n";
    const std::string as_found = name + " " + index + " 2 of tell\n";
    (void)system.await(
        [&](const auto&) { return system.log(name).find(as_found) != std::string::npos; },
        "its words in the log of " + name);
    EXPECT_NE(system.log(name).find(as_told), std::string::npos) << system.log(name);
  }
  EXPECT_EQ(system.log("tell+spare.0"), "");
}

TEST(Spares, links_go_on_without_a_gap) {
  Warm system(system_of(
      R"("ticker": {"command": ["ticker-worker"], "ready": {"type": "notify"}, "warm_spares": 1,
                    "watchdog": {"timeout": "5s"},
                    "config": {"link": "ticks", "rate_hz": 1000, "size": 56}},
         "sink": {"command": ["sink-worker"], "ready": {"type": "notify"}, "warm_spares": 1,
                  "watchdog": {"timeout": "5s"},
                  "config": {"link": "ticks", "report_every": "100ms"}})",
      R"("links": {"ticks": {"type": "channel", "from": "ticker", "to": "sink"}})"));
  for (int round = 0; round < 10; ++round) {
    for (const std::string victim : {"ticker", "sink"}) {
      const auto before = system.await_warm();
      const int pid = row(before, victim + ".0")["pid"];
      ASSERT_EQ(::kill(pid, SIGKILL), 0);
      EXPECT_EQ(system.await_reborn(victim + ".0", pid)["pid"],
                spare(before, victim + "+spare.0")["pid"]);
    }
    const long seen = system.link("ticks")["acknowledged"];
    (void)system.await(
        [&](const auto& status) {
          return status["links"][0]["acknowledged"].template get<long>() > seen + 100;
        },
        "the stream to move on");
  }
  system.request("stop", {{"name", "sink"}});
  const auto log = system.log("sink.0");
  EXPECT_NE(log.find("gaps=0"), std::string::npos) << log;
  EXPECT_EQ(log.find("gap:"), std::string::npos) << log;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const bool reports = line.find("gaps=") != std::string::npos;
    EXPECT_TRUE(!reports || line.find("gaps=0") != std::string::npos) << line;
  }
}

TEST(Spares, one_that_dies_is_replaced_and_no_instance_is_concerned) {
  Warm system(system_of(echo(2)));
  const auto before = system.status();
  const int killed = spare(before, "echo+spare.1")["pid"];
  ASSERT_EQ(::kill(killed, SIGKILL), 0);
  const auto after = system.await(
      [&](const auto& now) {
        return spares_ready(now) && spare(now, "echo+spare.1")["pid"] != killed;
      },
      "another spare");
  EXPECT_EQ(row(after, "echo.0")["pid"], row(before, "echo.0")["pid"]);
  EXPECT_EQ(row(after, "echo.0")["restarts"], 0);
  EXPECT_EQ(spare(after, "echo+spare.0")["pid"], spare(before, "echo+spare.0")["pid"]);
  EXPECT_EQ(spare(after, "echo+spare.1")["deaths"], 1);
  EXPECT_EQ(spare(after, "echo+spare.1")["last_exit"]["signal"], "SIGKILL");
  EXPECT_EQ(system.events_of("echo+spare.1", "spare.exited").size(), 1U);
  EXPECT_TRUE(system.request("incidents")["incidents"].empty());
}

TEST(Spares, instance_and_spare_die_together_and_both_come_back) {
  Warm system(system_of(echo(1)));
  for (int round = 0; round < 10; ++round) {
    const auto before = system.await_warm();
    const int pid = row(before, "echo.0")["pid"], waiting = spare(before, "echo+spare.0")["pid"];
    const auto processes = system.processes().size();
    ASSERT_EQ(::kill(round % 2 == 0 ? pid : waiting, SIGKILL), 0);
    ASSERT_EQ(::kill(round % 2 == 0 ? waiting : pid, SIGKILL), 0);
    const auto after = system.await(
        [&](const auto& now) {
          return spares_ready(now) && row(now, "echo.0")["generation"] > round + 1 &&
                 row(now, "echo.0")["pid"] != pid && row(now, "echo.0")["pid"] != waiting;
        },
        "new processes");
    EXPECT_NE(spare(after, "echo+spare.0")["pid"], waiting);
    EXPECT_EQ(system.processes().size(), processes);
  }
}

TEST(Spares, one_that_dies_between_promotion_and_ready_is_a_death_of_the_instance) {
  Warm system(system_of(role("stumble")));
  const int pid = system.worker("stumble.0")["pid"];
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  const auto after = system.await(
      [](const auto& now) { return spares_ready(now) && row(now, "stumble.0")["generation"] == 3; },
      "the third incarnation");
  EXPECT_EQ(row(after, "stumble.0")["last_exit"]["signal"], "SIGABRT");
  EXPECT_EQ(row(after, "stumble.0")["restarts"], 2);
  EXPECT_EQ(spare(after, "stumble+spare.0")["deaths"], 0);
  EXPECT_EQ(system.request("incidents")["incidents"].size(), 2U);
}

TEST(Spares, what_one_that_stepped_in_has_started_goes_with_it) {
  Warm system(system_of(role("child")));
  const int pid = system.worker("child.0")["pid"];
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  const auto promoted = system.await(
      [&](const auto& now) {
        const auto text = row(now, "child.0")["status_text"].template get<std::string>();
        return spares_ready(now) && row(now, "child.0")["pid"] != pid && !text.empty();
      },
      "the child of the second incarnation");
  const std::string text = row(promoted, "child.0")["status_text"];
  const int child = std::stoi(text.substr(text.find(' ')));
  ASSERT_EQ(::kill(child, 0), 0);
  const int second = row(promoted, "child.0")["pid"];
  ASSERT_EQ(::kill(second, SIGKILL), 0);
  system.await_reborn("child.0", second);
  const auto stat = read("/proc/" + std::to_string(child) + "/stat");
  EXPECT_TRUE(stat.empty() || stat.find(") Z") != std::string::npos) << stat;
}

TEST(Spares, limits_and_sandbox_hold_for_one_that_stepped_in) {
  Warm system(system_of(echo(1, R"("sandbox": "strict", "limits": {"nofile": 300})")));
  const int pid = system.worker("echo.0")["pid"];
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  system.await_reborn("echo.0", pid);
  const auto after = system.await(
      [](const auto& now) { return !row(now, "echo.0")["sandbox"]["in_effect"].empty(); },
      "its sandbox");
  const std::string now = "/proc/" + std::to_string(row(after, "echo.0")["pid"].get<int>());
  EXPECT_EQ(system.events_of("echo.0", "worker.promoted").size(), 1U);
  const auto limits = read(now + "/limits");
  const auto line = limits.substr(limits.find("Max open files"));
  EXPECT_NE(line.substr(0, line.find('\n')).find(" 300 "), std::string::npos) << limits;
  const auto status = read(now + "/status");
  EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos) << status;
}

// Its beat page is the one that it made as a spare.
TEST(Spares, a_hang_of_one_that_stepped_in_is_noticed) {
  Warm system(system_of(role("hang", R"("watchdog": {"timeout": "250ms"})")));
  const int pid = system.worker("hang.0")["pid"];
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  const auto third = system.await(
      [](const auto& now) { return spares_ready(now) && row(now, "hang.0")["generation"] == 3; },
      "the third incarnation");
  EXPECT_EQ(row(third, "hang.0")["last_exit"]["kind"], "watchdog");
}

TEST(Spares, the_brain_dies_and_no_spare_notices) {
  Warm system(system_of(echo(2)));
  const auto before = system.status();
  const auto processes = system.processes().size();
  for (int round = 0; round < 10; ++round) {
    const int brain = system.brain_pid();
    system.kill_brain();
    const auto after = system.await(
        [&](const auto& status) {
          return status["supervisor"]["brain_pid"] != brain && spares_ready(status);
        },
        "a new brain");
    for (const char* name : {"echo+spare.0", "echo+spare.1"}) {
      EXPECT_EQ(spare(after, name)["pid"], spare(before, name)["pid"]) << "round " << round;
    }
  }
  EXPECT_EQ(system.processes().size(), processes);
  const int pid = system.worker("echo.0")["pid"];
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_EQ(system.await_reborn("echo.0", pid)["pid"], spare(before, "echo+spare.0")["pid"]);
}

// Whether the death was read, the promotion decided or the spare told when the brain died: afterwards there is one
// process for each, and nobody is lost.
TEST(Spares, brain_and_instance_die_together_and_no_spare_is_lost_or_doubled) {
  Warm system(system_of(echo(1)));
  const auto processes = system.processes().size();
  int promoted = 0;
  for (int round = 0; round < 20; ++round) {
    const auto before = system.await_warm();
    const int brain = system.brain_pid();
    const int pid = row(before, "echo.0")["pid"], waiting = spare(before, "echo+spare.0")["pid"];
    if (round % 4 == 0) system.kill_brain();
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    // A little later each time: in the middle of what the brain does about it.
    for (int turn = 0; turn < (round % 4) * (round / 4) * 4; ++turn) (void)::kill(waiting, 0);
    if (round % 4 != 0) system.kill_brain();
    const auto after = system.await(
        [&](const auto& status) {
          return status["supervisor"]["brain_pid"] != brain && spares_ready(status) &&
                 row(status, "echo.0")["pid"] != pid;
        },
        "a new brain, instance and spare");
    promoted += row(after, "echo.0")["pid"] == waiting ? 1 : 0;
    EXPECT_EQ(row(after, "echo.0")["restarts"], round + 1);
    EXPECT_EQ(spare(after, "echo+spare.0")["deaths"], 0) << "round " << round;
    EXPECT_NE(spare(after, "echo+spare.0")["pid"], row(after, "echo.0")["pid"]);
    EXPECT_EQ(system.processes().size(), processes) << "round " << round;
  }
  EXPECT_EQ(promoted, 20);
}

TEST(Spares, a_shutdown_and_the_death_of_the_keeper_leave_none) {
  {
    Warm system(system_of(echo(3)));
    system.request("shutdown");
    EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
    system.await_no_process();
  }
  Warm system(system_of(echo(3)));
  ASSERT_EQ(::kill(system.keeper_pid(), SIGKILL), 0);
  system.await_no_process();
}

TEST(Spares, stop_takes_them_away_and_start_brings_them_back) {
  Warm system(system_of(echo(1, R"("instances": 2)")));
  const auto before = system.status();
  const int waiting = spare(before, "echo+spare.0")["pid"];
  system.request("stop", {{"name", "echo.0"}});
  EXPECT_EQ(spare(system.status(), "echo+spare.0")["pid"], waiting);
  system.request("stop", {{"name", "echo.1"}});
  system.await([](const auto& now) { return spare(now, "echo+spare.0")["pid"].is_null(); },
               "the spare to go");
  system.request("start", {{"name", "echo"}});
  EXPECT_NE(spare(system.await_warm(), "echo+spare.0")["pid"], waiting);
}

TEST(Spares, a_reload_changes_how_many_there_are_and_no_instance_restarts) {
  Warm system(system_of(echo(1)));
  const auto before = system.status();
  const auto others = system.processes().size() - 1;
  const int pid = row(before, "echo.0")["pid"];
  int waiting = spare(before, "echo+spare.0")["pid"];
  for (const int spares : {3, 1, 0, 2, 0, 1}) {
    const auto answer = system.request("reload", system.with(system_of(echo(spares))));
    EXPECT_EQ(answer["summary"], "1 changed");
    const auto after = system.await(
        [&](const auto& now) {
          return spares_ready(now) && now["spares"].size() == static_cast<std::size_t>(spares) &&
                 system.processes().size() == others + static_cast<std::size_t>(spares);
        },
        std::to_string(spares) + " spares");
    EXPECT_EQ(row(after, "echo.0")["pid"], pid);
    EXPECT_EQ(row(after, "echo.0")["restarts"], 0);
    if (spares > 0 && waiting != 0) {
      EXPECT_EQ(spare(after, "echo+spare.0")["pid"], waiting);
    }
    waiting = spares > 0 ? spare(after, "echo+spare.0")["pid"].get<int>() : 0;
  }
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_EQ(system.await_reborn("echo.0", pid)["pid"], waiting);
}

TEST(Spares, after_a_reload_they_run_with_the_new_config) {
  Warm system(system_of(echo(1)));
  const int waiting = spare(system.status(), "echo+spare.0")["pid"];
  system.request("reload", system.with(system_of(echo(1, R"("env": {"K": "new"})"))));
  const auto before = system.await(
      [&](const auto& now) {
        return spares_ready(now) && spare(now, "echo+spare.0")["pid"] != waiting;
      },
      "another spare");
  const int pid = row(before, "echo.0")["pid"];
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  const int now = system.await_reborn("echo.0", pid)["pid"];
  EXPECT_EQ(now, spare(before, "echo+spare.0")["pid"]);
  const auto environment = read("/proc/" + std::to_string(now) + "/environ");
  EXPECT_NE(environment.find("K=new"), std::string::npos);
}

TEST(Spares, scaling_leaves_them_to_the_instances_that_stay) {
  Warm system(system_of(echo(1, R"("instances": 2)")));
  const int waiting = spare(system.status(), "echo+spare.0")["pid"];
  system.request("scale", {{"name", "echo"}, {"instances", 1}});
  const auto before = system.await_warm();
  EXPECT_EQ(spare(before, "echo+spare.0")["pid"], waiting);
  const int pid = row(before, "echo.0")["pid"];
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_EQ(system.await_reborn("echo.0", pid)["pid"], waiting);
}

}  // namespace
}  // namespace bulkhead::test
