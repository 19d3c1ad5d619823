// Another config for a system that runs: who restarts and who does not, whatever is killed meanwhile.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/support/command.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

constexpr const char* restart_at_once =
    R"("defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"}})";

std::string config_of(const std::string& workers, const std::string& rest = "") {
  return std::string(R"({"version": 1, "name": "live", )") + restart_at_once + R"(, "workers": {)" +
         workers + "}" + (rest.empty() ? "" : ", " + rest) + "}";
}

std::string echo(int instances, const std::string& more = "") {
  return R"("echo": {"command": ["echo-worker"], "ready": {"type": "notify"}, "provides": ["echo"], "instances": )" +
         std::to_string(instances) + (more.empty() ? "" : ", " + more) + "}";
}

std::string sleeper(const std::string& name, const std::string& more = "") {
  return "\"" + name + R"(": {"command": ["sleep", "100000"])" + (more.empty() ? "" : ", " + more) +
         "}";
}

// By instance; 0 where no process lives.
std::map<std::string, int> pids(const json& status) {
  std::map<std::string, int> found;
  for (const auto& worker : status["workers"]) {
    found[worker["name"]] = worker["pid"].is_null() ? 0 : worker["pid"].get<int>();
  }
  return found;
}

json with(const RunningSystem& system, const std::string& text) {
  return {{"path", system.directory().path("other.json")}, {"text", text}};
}

TEST(Reload, restarts_what_changed_and_nothing_else) {
  RunningSystem system("live",
                       config_of(echo(2) + ", " + sleeper("kept") + ", " + sleeper("gone")));
  system.await_all_ready();
  const auto before = pids(system.status());
  const std::string next =
      config_of(echo(2, R"("env": {"K": "V"})") + ", " + sleeper("kept") + ", " + sleeper("fresh"));
  const auto plan = system.request("plan", with(system, next));
  EXPECT_EQ(plan["summary"], "1 added, 1 removed, 1 restarted");
  EXPECT_EQ(pids(system.status()), before);

  const auto answer = system.request("reload", with(system, next));
  EXPECT_EQ(answer["summary"], plan["summary"]);
  const auto after = pids(system.status());
  ASSERT_EQ(after.size(), 4U);
  EXPECT_EQ(after.at("kept.0"), before.at("kept.0"));
  EXPECT_NE(after.at("echo.0"), before.at("echo.0"));
  EXPECT_NE(after.at("echo.1"), before.at("echo.1"));
  EXPECT_NE(after.at("fresh.0"), 0);
  EXPECT_EQ(::kill(before.at("gone.0"), 0), -1);
  EXPECT_EQ(system.worker("kept.0")["restarts"], 0);
  EXPECT_EQ(system.status()["supervisor"]["config_serial"], 2);
  const auto told = system.events_of("config", "config.reloaded");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0]["text"], plan["summary"]);
  EXPECT_TRUE(system.events_of("brain", "brain.recovered").empty());
  EXPECT_FALSE(system.events_of("gone.0", "worker.stopped").empty());
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
  EXPECT_EQ(system.output().find("died"), std::string::npos) << system.output();
}

TEST(Reload, puts_nothing_in_force_that_is_wrong) {
  RunningSystem system("live", config_of(echo(1)));
  system.await_all_ready();
  const auto before = pids(system.status());
  for (const std::string& wrong :
       {std::string("{"), config_of(R"("echo": {})"),
        std::string(R"({"version": 1, "name": "dead", "workers": {)") + echo(1) + "}}"}) {
    const auto answer = system.try_request("reload", with(system, wrong));
    ASSERT_FALSE(answer) << wrong;
    EXPECT_TRUE(answer.error().is(Errc::bad_config)) << answer.error().to_string();
  }
  EXPECT_EQ(pids(system.status()), before);
  EXPECT_EQ(system.status()["supervisor"]["config_serial"], 1);
}

TEST(Reload, changes_how_a_group_restarts_and_not_who_is_in_it) {
  const std::string workers = echo(1) + ", " + sleeper("other");
  const auto grouped = [&](const std::string& strategy, const std::string& members) {
    return config_of(workers, R"("groups": {"both": {"strategy": ")" + strategy +
                                  R"(", "members": [)" + members + "]}}");
  };
  const std::string both = R"("echo", "other")";
  RunningSystem system("live", grouped("one_for_one", both));
  system.await_all_ready();
  const auto before = pids(system.status());
  for (const std::string& other : {config_of(workers), grouped("one_for_one", R"("echo")"),
                                   grouped("one_for_one", R"("other", "echo")")}) {
    const auto answer = system.try_request("reload", with(system, other));
    ASSERT_FALSE(answer) << other;
    EXPECT_TRUE(answer.error().is(Errc::unsupported)) << answer.error().to_string();
    EXPECT_NE(answer.error().context.find("/groups"), std::string::npos);
  }
  system.request("reload", with(system, grouped("one_for_all", both)));
  EXPECT_EQ(pids(system.status()), before);
  ASSERT_EQ(::kill(before.at("echo.0"), SIGKILL), 0);
  system.await_reborn("other.0", before.at("other.0"));
}

// Places stay and positions move: who died is told by name all the same, and no brain falls over it.
TEST(Reload, incidents_name_who_died_wherever_it_has_moved) {
  RunningSystem system("live", config_of(echo(30) + ", " + sleeper("last")));
  system.await_all_ready();
  system.request("reload", with(system, config_of(sleeper("first") + ", " + echo(1) + ", " +
                                                  sleeper("last"))));
  for (const char* name : {"last.0", "echo.0", "first.0"}) {
    const int pid = pids(system.status()).at(name);
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    system.await_reborn(name, pid);
    const auto found = system.request("incidents")["incidents"];
    ASSERT_FALSE(found.empty()) << name;
    EXPECT_EQ(found.back()["name"], name);
    EXPECT_EQ(found.back()["pid"], pid);
  }
  EXPECT_TRUE(system.events_of("brain", "brain.recovered").empty());
}

TEST(Reload, ends_when_a_replacement_keeps_failing_without_a_limit) {
  RunningSystem system("live", config_of(echo(2)));
  system.await_all_ready();
  const auto before = pids(system.status());
  const std::string broken =
      config_of(R"("echo": {"command": ["false"], "ready": {"type": "notify"}, "instances": 2})");
  const auto answer = system.try_request("reload", with(system, broken));
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().context.find("echo.0"), std::string::npos) << answer.error().context;
  EXPECT_EQ(pids(system.status()).at("echo.1"), before.at("echo.1"));
}

TEST(Reload, says_who_did_not_become_ready_and_keeps_the_others_running) {
  RunningSystem system("live", config_of(echo(2)));
  system.await_all_ready();
  const auto before = pids(system.status());
  const std::string broken = config_of(
      R"("echo": {"command": ["sh", "-c", "exit 78"], "ready": {"type": "notify"}, "instances": 2})");
  const auto answer = system.try_request("reload", with(system, broken));
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().context.find("echo.0"), std::string::npos) << answer.error().context;
  EXPECT_EQ(pids(system.status()).at("echo.1"), before.at("echo.1"));
  system.request("reload", with(system, config_of(echo(2))));
  EXPECT_TRUE(all_ready(system.status()));
}

// Whatever the brain was doing, its successor has one of the two configs whole, and ends at the last one.
TEST(Reload, one_config_or_the_other_is_in_force_whenever_the_brain_is_killed) {
  const std::string odd = config_of(echo(3) + ", " + sleeper("odd")),
                    even = config_of(echo(1, R"("env": {"K": "V"})") + ", " + sleeper("even"));
  RunningSystem system("live", config_of(sleeper("kept") + ", " + echo(1)));
  system.await_all_ready();
  for (int round = 0; round < 12; ++round) {
    const std::string& next = round % 2 == 0 ? odd : even;
    const auto params = with(system, next);
    auto reloading = bulkhead::connect(system.directory().path("run/live.sock"),
                                       Deadline::in(std::chrono::seconds(10)));
    ASSERT_TRUE(reloading) << reloading.error().to_string();
    Result<json> answer = make_error(Errc::closed, "");
    std::jthread client([&] {
      answer = reloading->request("reload", params, Deadline::in(std::chrono::seconds(30)));
    });
    // The one that is to be hit may have handed over before.
    for (int i = 0; i <= round % 3; ++i) (void)::kill(system.brain_pid(), SIGKILL);
    client.join();
    ASSERT_TRUE(answer) << answer.error().to_string();
    const auto now = system.status();
    const auto found = pids(now);
    EXPECT_EQ(found.size(), round % 2 == 0 ? 4U : 2U) << now.dump(1);
    EXPECT_TRUE(all_ready(now)) << now.dump(1);
    EXPECT_TRUE(found.contains(round % 2 == 0 ? "odd.0" : "even.0"));
  }
  EXPECT_EQ(system.status()["supervisor"]["config_serial"], 13);
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
  EXPECT_TRUE(system.processes().empty());
}

TEST(Scale, adds_and_removes_instances_and_leaves_the_others_alone) {
  RunningSystem system("live", config_of(echo(2) + ", " + sleeper("kept")));
  system.await_all_ready();
  const auto before = pids(system.status());
  system.request("scale", {{"name", "echo"}, {"instances", 5}});
  auto now = pids(system.status());
  EXPECT_EQ(now.size(), 6U);
  for (const auto& [name, pid] : before) EXPECT_EQ(now.at(name), pid) << name;
  const int brain = system.brain_pid();
  system.kill_brain();
  EXPECT_NE(system.brain_pid(), brain);
  EXPECT_EQ(pids(system.status()), now);

  system.request("scale", {{"name", "echo"}, {"instances", 1}});
  now = pids(system.status());
  EXPECT_EQ(now.size(), 2U);
  EXPECT_EQ(now.at("echo.0"), before.at("echo.0"));
  system.request("scale", {{"name", "echo"}, {"instances", 2}});
  EXPECT_EQ(system.worker("echo.1")["generation"], 2);
  const auto config = system.request("config");
  EXPECT_EQ(config["scaled"], (json{{"echo", 2}}));
  system.request("reload", {{"path", config["path"]}, {"text", config["text"]}});
  EXPECT_EQ(system.request("config")["scaled"], json::object());
}

TEST(Scale, refuses_what_cannot_be) {
  RunningSystem system("live", config_of(echo(1)));
  system.await_all_ready();
  const auto refused = [&](const std::string& name, int instances) {
    const auto answer = system.try_request("scale", {{"name", name}, {"instances", instances}});
    return answer ? std::string("accepted") : answer.error().context;
  };
  EXPECT_NE(refused("ecko", 2).find("workers: echo"), std::string::npos);
  EXPECT_NE(refused("echo", 0).find("stop it"), std::string::npos);
  EXPECT_NE(refused("echo", 8193).find("8192"), std::string::npos);
  EXPECT_EQ(system.status()["workers"].size(), 1U);
}

// Its memory is laid out in another way, so both ends begin anew; whenever the brain dies over it.
TEST(Reload, a_link_with_another_memory_works_afterwards) {
  const auto config = [](const std::string& transport, const std::string& capacity) {
    return config_of(R"(
      "ticker": {"command": ["ticker-worker"], "ready": {"type": "notify"}},
      "sink": {"command": ["sink-worker"], "ready": {"type": "notify"}},)" +
                         sleeper("kept"),
                     R"("links": {"ticks": {"from": "ticker", "to": "sink", "transport": ")" +
                         transport + R"(", "capacity": ")" + capacity + "\"}}");
  };
  RunningSystem system("live", config("shm", "1MiB"));
  system.await_all_ready();
  const int kept = system.worker("kept.0")["pid"];
  const auto flows = [](const json& status) {
    for (const auto& link : status["links"]) {
      if (link["acknowledged"] < 20) return false;
    }
    return status["links"].size() == 1;
  };
  system.await(flows, "ticks to arrive");
  int round = 0;
  for (const auto& [transport, capacity] :
       {std::pair{"unix", "1MiB"}, std::pair{"shm", "256KiB"}, std::pair{"pipe", "512KiB"},
        std::pair{"shm", "1MiB"}}) {
    const auto params = with(system, config(transport, capacity));
    auto other = bulkhead::connect(system.directory().path("run/live.sock"),
                                   Deadline::in(std::chrono::seconds(10)));
    ASSERT_TRUE(other) << other.error().to_string();
    Result<json> answer = make_error(Errc::closed, "");
    {
      std::jthread client([&] {
        answer = other->request("reload", params, Deadline::in(std::chrono::seconds(30)));
      });
      for (int i = 0; i < round; ++i) (void)::kill(system.brain_pid(), SIGKILL);
    }
    ASSERT_TRUE(answer) << answer.error().to_string();
    const auto now = system.await(flows, "ticks to arrive over " + std::string(transport));
    EXPECT_EQ(now["links"][0]["transport"], transport);
    ++round;
  }
  EXPECT_EQ(system.worker("kept.0")["pid"], kept);
  EXPECT_EQ(system.output().find("protocol"), std::string::npos) << system.output();
}

TEST(Reload, by_the_command_says_what_it_did_and_ends_with_the_right_code) {
  RunningSystem system("live", config_of(echo(1)));
  system.await_all_ready();
  const auto command = [&](std::vector<std::string> words) {
    words.insert(words.begin(), BULKHEAD_PROGRAM);
    return run_command(words, {"BULKHEAD_RUNTIME_DIR=" + system.directory().path("run")});
  };
  const auto next = system.directory().write("next.json", config_of(echo(1) + ", " + sleeper("b")));
  const auto plan = command({"plan", next});
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_NE(plan.out.find("worker b  added"), std::string::npos) << plan.out;
  EXPECT_EQ(json::parse(command({"plan", "--json", next}).out)["summary"], "1 added");
  EXPECT_EQ(command({"reload", next}).out, "live: 1 added\n");
  EXPECT_EQ(command({"scale", "b", "3"}).out, "live: 1 changed\n");
  EXPECT_EQ(command({"reload"}).out, "live: 1 changed\n");
  EXPECT_EQ(command({"reload"}).out, "live: nothing changes\n");

  const auto wrong = system.directory().write("wrong.json", R"({"version": 1, "name": "live"})");
  for (const char* method : {"plan", "reload"}) {
    const auto refused = command({method, wrong});
    EXPECT_EQ(refused.code, 78);
    EXPECT_NE(refused.err.find("wrong.json:1:"), std::string::npos) << refused.err;
  }
  EXPECT_EQ(command({"scale", "b", "0"}).code, 2);
  EXPECT_EQ(command({"scale", "b", "9000"}).code, 2);
  EXPECT_EQ(command({"scale", "c", "2"}).code, 1);
  EXPECT_EQ(system.status()["workers"].size(), 2U);
}

// A queue gets a pair for each new worker, and loses no task of one that leaves.
TEST(Scale, a_queue_follows_the_number_of_its_workers) {
  RunningSystem system("live", config_of(R"(
    "splitter": {"command": ["splitter-worker"], "ready": {"type": "notify"}, "config": {"directory": "/usr/include/linux", "rounds": 0, "job_bytes": "4KiB"}},
    "cruncher": {"command": ["cruncher-worker"], "ready": {"type": "notify"}, "instances": 2})",
                                         R"("links": {"jobs": {"type": "queue", "from": "splitter",
                                                               "to": "cruncher"}})"));
  system.await_all_ready();
  const auto before = pids(system.status());
  const auto pairs = [&] { return system.status()["links"].size(); };
  EXPECT_EQ(pairs(), 2U);
  system.request("scale", {{"name", "cruncher"}, {"instances", 4}});
  EXPECT_EQ(pairs(), 4U);
  EXPECT_EQ(pids(system.status()).at("cruncher.0"), before.at("cruncher.0"));
  const auto moved = [&](const json& status, const std::string& to) {
    for (const auto& link : status["links"]) {
      if (link["to"] == to && link["acknowledged"] > 0) return true;
    }
    return false;
  };
  system.await([&](const json& now) { return moved(now, "cruncher.3"); }, "the new worker to work");
  system.request("scale", {{"name", "cruncher"}, {"instances", 1}});
  EXPECT_EQ(pairs(), 1U);
  const auto log = [&] {
    std::ifstream file(system.directory().path("run/live/logs/splitter.0.log"));
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const auto seen = log().size();
  system.await([&](const json&) { return log().find("check:", seen) != std::string::npos; },
               "a round to end");
  EXPECT_NE(log().find("check: ok", seen), std::string::npos) << log();
  EXPECT_EQ(log().find("MISMATCH"), std::string::npos) << log();
}

TEST(Restart, of_a_worker_with_several_instances_goes_one_by_one) {
  RunningSystem system("live", config_of(echo(3)));
  system.await_all_ready();
  const auto before = pids(system.status());
  system.request("restart", {{"name", "echo"}});
  for (const auto& [name, pid] : pids(system.status())) EXPECT_NE(pid, before.at(name)) << name;
  // From the events: how many were ready at any time.
  int ready = 3, least = 3;
  const auto page = system.request("events", {{"since", 1}});
  std::map<std::string, int> generations;
  for (const auto& event : page["events"]) {
    const std::string type = event["type"];
    if (event["generation"] == 1 && type == "worker.stopping") --ready;
    if (event["generation"] == 2 && type == "worker.ready") ++ready;
    least = std::min(least, ready);
  }
  EXPECT_EQ(ready, 3);
  EXPECT_EQ(least, 2);
}

TEST(Restart, one_by_one_goes_on_when_the_brain_dies_over_it) {
  RunningSystem system("live", config_of(echo(4)));
  system.await_all_ready();
  auto other = bulkhead::connect(system.directory().path("run/live.sock"),
                                 Deadline::in(std::chrono::seconds(10)));
  ASSERT_TRUE(other) << other.error().to_string();
  Result<json> answer = make_error(Errc::closed, "");
  {
    std::jthread client([&] {
      answer =
          other->request("restart", {{"name", "echo"}}, Deadline::in(std::chrono::seconds(30)));
    });
    system.await([](const json& now) { return row(now, "echo.0")["generation"] == 2; },
                 "the first to be replaced");
    system.kill_brain();
  }
  ASSERT_TRUE(answer) << answer.error().to_string();
  const auto now = system.status();
  for (const auto& worker : now["workers"]) {
    EXPECT_EQ(worker["generation"], 2) << worker.dump();
    EXPECT_EQ(worker["state"], "ready");
  }
}

}  // namespace
}  // namespace bulkhead::test
