// Scripts as they are written, and the timelines that come of them.
#include "supervisor/simulation.hpp"

#include <gtest/gtest.h>

#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using bulkhead::test::worker;
using namespace std::chrono_literals;

SystemConfig two_echoes() {
  SystemConfig config;
  config.name = "t";
  config.workers = {worker("echo", 2), worker("store")};
  config.max_parallel_starts = 4;
  return config;
}

std::string refusal(const std::string& script) {
  const Plan plan = make_plan(two_echoes());
  const auto read = read_script(plan, script);
  return read ? "" : read.error().context;
}

// "2.000 echo.1 exited": without the announcements of the start.
std::vector<std::string> timeline(const SystemConfig& config, const std::string& text,
                                  Duration length = 60s, std::uint64_t seed = 1) {
  const Plan plan = make_plan(config);
  const auto script = read_script(plan, text);
  if (!script) return {script.error().context};
  std::vector<std::string> told;
  Simulation simulation(config, plan, *script, seed, [&](const SimulatedEvent& event) {
    char at[32];
    std::snprintf(at, sizeof at, "%.3f ", static_cast<double>(event.at) / 1e9);
    const std::string name =
        event.slot == SimulatedEvent::no_slot ? "" : plan.instances[event.slot].name + " ";
    const bool script_line = event.type.starts_with("script");
    if (event.at > 500'000'000) {
      told.push_back(at + name + (script_line ? "> " + event.text : event.type.substr(7)));
    }
  });
  simulation.run(length);
  return told;
}

TEST(SimulationScript, names_the_word_that_is_wrong_and_the_grammar) {
  const std::pair<const char*, const char*> rows[] = {
      {"ehco crashes", "\"ehco\" is no worker or instance of this config (did you mean \"echo\"?)"},
      {"echo.7 crashes", "\"echo.7\" is no worker"},
      {"echo crahses", "\"crahses\" is nothing that a worker can do (did you mean \"crashes\"?)"},
      {"echo", "what \"echo\" does"},
      {"echo exits", "an exit code is missing"},
      {"echo exits 256", "\"256\" is no exit code (expected 0 to 255)"},
      {"echo exits -1", "\"-1\" is no exit code"},
      {"echo runs away", "\"out of memory\""},
      {"echo dies", "comes \"of\" and a signal"},
      {"echo dies of SIGKIL", "\"SIGKIL\" is no signal"},
      {"echo dies of SIGSTOP", "\"SIGSTOP\" ends no process (expected one such as SIGKILL)"},
      {"kill echo SIGCONT", "\"SIGCONT\" ends no process"},
      {"echo crashes evry 2s", "\"evry\" is no time (did you mean \"every\"?)"},
      {"echo crashes at", "a duration is missing after \"at\""},
      {"echo crashes at 5", "5"},
      {"echo crashes every 0s", "\"every 2s\""},
      {"echo crashes every 1ns for 1d", "more than 1000000 times"},
      {"echo crashes at 5s sharp", "\"sharp\" is too much"},
      {"kill", "a worker's name is missing"},
      {"kill store SIGFOO", "\"SIGFOO\" is no signal"},
      {"stop after 5s", "\"after\" is no worker"},
      {"store ignores everything", "only \"stop\""},
      {"store takes 5s at 3s", "\"at\" after a duration"},
  };
  for (const auto& [script, about] : rows) {
    const std::string said = refusal(script);
    EXPECT_NE(said.find(about), std::string::npos) << script << ": " << said;
    EXPECT_NE(said.find(script_grammar), std::string::npos) << script;
  }
}

TEST(SimulationScript, reads_all_that_the_grammar_has) {
  EXPECT_EQ(
      refusal("echo.1 crashes every 2s for 1m; store hangs at 10s\n echo exits 3 at 5s;;"
              "store dies of SIGABRT after 1s; store runs out of memory at 1s; store takes 2h; "
              "echo ignores stop; kill echo.0;"
              "kill store SIGTERM at 7s; restart echo at 8s; start echo at 9s; stop echo.1 at 9s;"
              "stop"),
      "");
  EXPECT_EQ(refusal(""), "");
}

TEST(Simulation, tells_what_the_core_decides_at_its_time) {
  EXPECT_EQ(timeline(two_echoes(), "echo.1 crashes at 2s; stop at 3s"),
            (std::vector<std::string>{
                "2.000 echo.1 > crashes", "2.000 echo.1 exited", "2.001 echo.1 starting",
                "2.006 echo.1 ready", "3.000 > stop", "3.000 echo.0 stopping",
                "3.000 echo.1 stopping", "3.000 store.0 stopping", "3.010 echo.0 exited",
                "3.010 echo.0 stopped", "3.010 echo.1 exited", "3.010 echo.1 stopped",
                "3.010 store.0 exited", "3.010 store.0 stopped"}));
}

TEST(Simulation, restarts_several_instances_one_after_the_other_as_the_command_does) {
  EXPECT_EQ(timeline(two_echoes(), "restart echo at 2s"),
            (std::vector<std::string>{"2.000 echo.0 > restart", "2.000 echo.1 > restart",
                                      "2.000 echo.0 stopping", "2.010 echo.0 exited",
                                      "2.011 echo.0 starting", "2.016 echo.0 ready",
                                      "2.016 echo.1 stopping", "2.026 echo.1 exited",
                                      "2.027 echo.1 starting", "2.032 echo.1 ready"}));
}

TEST(Simulation, shows_that_each_cause_is_treated_in_its_way) {
  const auto after = [](const std::string& what) {
    const auto told = timeline(two_echoes(), "store " + what + " at 2s", 3s);
    return told.size() < 3 ? std::string() : told[2];
  };
  EXPECT_EQ(after("crashes"), "2.001 store.0 starting");
  EXPECT_EQ(after("exits 78"), "2.000 store.0 failed");
  EXPECT_EQ(after("runs out of memory"), "2.000 store.0 backoff");
}

TEST(Simulation, strikes_again_and_again_and_says_when_nobody_is_there) {
  const auto told = timeline(two_echoes(), "store crashes every 2s for 1h", 2h);
  const auto count = [&](const std::string& what) {
    return std::count_if(told.begin(), told.end(), [&](const std::string& line) {
      return line.find(what) != std::string::npos;
    });
  };
  EXPECT_EQ(count("store.0 > crashes"), 1800);
  EXPECT_EQ(count("store.0 > crashes: but it is "), 1800 - count("store.0 exited"));
  EXPECT_GT(count("store.0 > crashes: but it is half_open"), 1000);
}

TEST(Simulation, kills_what_hangs_by_the_watchdog_and_what_ignores_a_stop_by_its_timeout) {
  SystemConfig config = two_echoes();
  config.workers[1].watchdog = 2s;
  EXPECT_EQ(timeline(config, "store hangs at 10s"),
            (std::vector<std::string>{"10.000 store.0 > hangs", "12.001 store.0 exited",
                                      "12.002 store.0 starting", "12.007 store.0 ready"}));
  EXPECT_EQ(timeline(config, "store ignores stop; stop store at 10s"),
            (std::vector<std::string>{"10.000 store.0 > stop", "10.000 store.0 stopping",
                                      "15.001 store.0 exited", "15.001 store.0 stopped"}));
  EXPECT_EQ(
      timeline(config, "echo.0 hangs at 10s"),
      (std::vector<std::string>{"10.000 echo.0 > hangs: it has no watchdog, so nobody notices"}));
}

TEST(Simulation, counts_from_each_start_and_lets_runs_take_their_time) {
  SystemConfig config;
  config.workers = {worker("report"), worker("store")};
  config.workers[0].kind = WorkerKind::scheduled;
  config.workers[0].every = 10s;
  config.workers[0].ready.type = ReadyType::exec;
  EXPECT_EQ(timeline(config, "report takes 3s; report exits 1 after 2s", 2500ms),
            (std::vector<std::string>{"2.001 report.0 > exits 1", "2.001 report.0 exited",
                                      "2.002 report.0 starting", "2.002 report.0 ready"}));
  EXPECT_EQ(timeline(config, "report takes 3s", 12s),
            (std::vector<std::string>{"3.001 report.0 exited", "10.001 report.0 starting",
                                      "10.001 report.0 ready"}));
}

// The group is down from 1.5 s, when `echo` dies, until 6.5 s, when `store` has been killed.
TEST(Simulation, begins_no_run_while_its_group_goes_down) {
  SystemConfig config = two_echoes();
  WorkerConfig run = worker("run");
  run.kind = WorkerKind::scheduled;
  run.every = 1s;
  config.workers.push_back(run);
  config.groups.push_back({.name = "all",
                           .strategy = GroupStrategy::one_for_all,
                           .members = {"echo", "store", "run"},
                           .limit = std::nullopt});
  const auto told =
      timeline(config, "run takes 200ms; store ignores stop; echo.0 dies of SIGKILL at 1500ms", 8s);
  const auto begins = [](const std::string& line) {
    return line.find("run.0 starting") != std::string::npos;
  };
  std::vector<std::string> runs;
  std::copy_if(told.begin(), told.end(), std::back_inserter(runs), begins);
  ASSERT_GE(runs.size(), 2U);
  EXPECT_EQ(runs[0], "1.001 run.0 starting");
  EXPECT_GE(std::stod(runs[1]), 6.5) << runs[1];
}

TEST(Simulation, is_the_same_again_with_the_same_seed) {
  SystemConfig config = two_echoes();
  for (WorkerConfig& each : config.workers) each.restart.backoff.jitter = 0.5;
  const std::string script = "echo crashes after 1s";
  EXPECT_EQ(timeline(config, script, 60s, 7), timeline(config, script, 60s, 7));
  EXPECT_NE(timeline(config, script, 60s, 7), timeline(config, script, 60s, 8));
}

}  // namespace
}  // namespace bulkhead::supervisor
