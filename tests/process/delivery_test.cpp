// The demo's own claims: kill any of its workers, any number of times, and look at what its sinks,
// its client and its splitter report. BULKHEAD_TEST_ROUNDS sets how often (3 by default); figures are
// printed, and only facts are asserted.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/clock.hpp"
#include "tests/support/environment.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

int rounds() { return static_cast<int>(chosen("BULKHEAD_TEST_ROUNDS", 3)); }

// "delivered=12 gaps=0 …" -> 12 for "delivered".
long figure(const std::string& text, const std::string& name) {
  const auto at = text.find(name + "=");
  if (at == text.npos) return -1;
  return std::strtol(text.c_str() + at + name.size() + 1, nullptr, 10);
}

std::string read_log(const RunningSystem& system, const std::string& name,
                     const std::string& instance) {
  std::ifstream file(system.directory().path("run/" + name + "/logs/" + instance + ".log"));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

const std::vector<std::string> victims = {
    "ticker-shm.0", "sink-shm.0",    "ticker-unix.0", "sink-unix.0",    "ticker-tcp.0",
    "sink-tcp.0",   "ticker-pipe.0", "sink-pipe.0",   "math.0",         "client.0",
    "splitter.0",   "cruncher.0",    "cruncher.1",    "ticker-topic.0", "slow-topic.0"};

void print_quantiles(const char* what, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) {
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
  };
  std::printf("%s: n=%zu p50=%.2f ms p90=%.2f ms p99=%.2f ms max=%.2f ms\n", what, values.size(),
              at(0.5), at(0.9), at(0.99), values.back());
}

class Demo : public testing::Test {
 protected:
  Demo() : system("demo", ConfigFile{BULKHEAD_CONFIGS "/demo.json"}) { system.await_all_ready(); }

  void await_progress() {
    // Each stream moves on by a hundred messages from here.
    const auto before = system.status();
    system.await(
        [&](const auto& status) {
          for (std::size_t i = 0; i < status["links"].size(); ++i) {
            const auto& link = status["links"][i];
            if (link["name"] == "jobs") continue;
            if (link["acknowledged"].template get<long>() <
                before["links"][i]["acknowledged"].template get<long>() + 100) {
              return false;
            }
          }
          return true;
        },
        "every stream to move on");
  }

  // What a sink has said so far: no message missing, none in pieces.
  void expect_whole(const std::string& sink) const {
    SCOPED_TRACE(sink);
    const auto log = read_log(system, "demo", sink);
    EXPECT_EQ(log.find("gap:"), std::string::npos) << log;
    std::istringstream lines(log);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(figure(line, "gaps"), 0) << line;  // -1 in a line that has no such figure
      EXPECT_LE(figure(line, "torn"), 0) << line;
      EXPECT_LE(figure(line, "unexpected"), 0) << line;
    }
  }

  RunningSystem system;
};

const std::vector<std::string> sinks = {"sink-shm", "sink-unix", "sink-tcp", "sink-pipe"};

TEST_F(Demo, every_worker_may_die_and_no_transport_loses_anything) {
  std::vector<double> recovery;
  for (int round = 0; round < rounds(); ++round) {
    for (const auto& victim : victims) {
      const int pid = system.worker(victim)["pid"];
      ASSERT_EQ(::kill(pid, SIGKILL), 0) << victim;
      system.await_reborn(victim, pid);
    }
  }
  for (const auto& victim : victims) {
    const auto died = system.events_of(victim, "worker.exited");
    const auto ready = system.events_of(victim, "worker.ready");
    ASSERT_GE(died.size(), static_cast<std::size_t>(rounds())) << victim;
    for (std::size_t i = 0; i < died.size() && i + 1 < ready.size(); ++i) {
      recovery.push_back((ready[i + 1]["t_ns"].get<double>() - died[i]["t_ns"].get<double>()) /
                         1e6);
    }
  }
  print_quantiles("death to ready", recovery);
  await_progress();
  for (const auto& sink : sinks) {
    system.request("stop", {{"name", sink}});
    expect_whole(sink + ".0");
  }
}

TEST_F(Demo, calls_are_answered_or_fail_and_never_answered_with_another_calls_answer) {
  for (int round = 0; round < rounds() * 3; ++round) {
    const int pid = system.worker("math.0")["pid"];
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    system.await_reborn("math.0", pid);
  }
  const auto seen = system.await(
      [](const auto& status) {
        const std::string text = row(status, "client.0")["status_text"];
        return figure(text, "ok") > 0 && figure(text, "peer_died") > 0;
      },
      "the client to have seen deaths and answers");
  const std::string text = row(seen, "client.0")["status_text"];
  std::printf("client: %s\n", text.c_str());
  EXPECT_EQ(figure(text, "wrong"), 0) << text;
  EXPECT_EQ(figure(text, "other"), 0) << read_log(system, "demo", "client.0");
  EXPECT_EQ(figure(text, "timed_out"), 0) << text;
}

// An incarnation that dies before its first message leaves its successor the numbers of the link.
TEST_F(Demo, an_end_that_dies_twice_without_a_message_in_between_breaks_no_link) {
  const auto restarts = [](const auto& status, const char* name) {
    return row(status, name)["restarts"].template get<int>();
  };
  for (const auto& [still, dies] :
       {std::pair{"splitter.0", "cruncher.0"}, std::pair{"ticker-shm.0", "sink-shm.0"},
        std::pair{"sink-shm.0", "ticker-shm.0"}, std::pair{"ticker-unix.0", "sink-unix.0"},
        std::pair{"sink-pipe.0", "ticker-pipe.0"}}) {
    SCOPED_TRACE(dies);
    await_progress();
    const int still_pid = system.worker(still)["pid"];
    ASSERT_EQ(::kill(still_pid, SIGSTOP), 0);
    for (int death = 0; death < 3; ++death) {
      const int pid = system.worker(dies)["pid"];
      ASSERT_EQ(::kill(pid, SIGKILL), 0);
      system.await_reborn(dies, pid);
    }
    const auto before = system.status();
    ASSERT_EQ(::kill(still_pid, SIGCONT), 0);
    await_progress();
    const auto after = system.status();
    // One that was stopped for too long is the watchdog's, once; a broken link ends its workers at once.
    EXPECT_LE(restarts(after, still), restarts(before, still) + 1);
    EXPECT_EQ(restarts(after, dies), restarts(before, dies));
  }
}

TEST(Splitting, killing_crunchers_changes_nothing_in_the_result) {
  RunningSystem system("split", R"({"version": 1, "name": "split",
    "defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"}}, "workers": {
    "splitter": {"command": ["splitter-worker"], "ready": {"type": "notify"},
                 "config": {"link": "jobs", "directory": "/usr/include/linux", "rounds": 0, "job_bytes": "4KiB"}},
    "cruncher": {"command": ["cruncher-worker"], "instances": 2, "ready": {"type": "notify"},
                 "config": {"link": "jobs"}}},
    "links": {"jobs": {"type": "queue", "from": "splitter", "to": "cruncher", "transport": "shm",
                       "max_attempts": 1000}}})");
  system.await_all_ready();
  const auto log = [&] { return read_log(system, "split", "splitter.0"); };
  const auto checks = [&] {
    const auto text = log();
    int count = 0;
    for (auto at = text.find("check: ok"); at != text.npos; at = text.find("check: ok", at + 1))
      ++count;
    return count;
  };
  const auto acknowledged = [](const nlohmann::json& status) {
    return status["links"][0]["acknowledged"].get<long>() +
           status["links"][1]["acknowledged"].get<long>();
  };
  int kills = 0;
  for (; checks() < 2; ++kills) {
    // Some jobs are done between two kills, so that the round goes on.
    const long before = acknowledged(system.status());
    system.await([&](const auto& now) { return acknowledged(now) >= before + 20; },
                 "jobs to be done");
    const std::string victim = kills % 2 == 0 ? "cruncher.0" : "cruncher.1";
    const int pid = system.worker(victim)["pid"];
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    system.await_reborn(victim, pid);
  }
  std::printf("two rounds with %d kills\n", kills);
  EXPECT_EQ(log().find("MISMATCH"), std::string::npos) << log();
}

TEST(Splitting, gives_up_the_jobs_that_were_planted_and_counts_all_others) {
  RunningSystem system("split", R"({"version": 1, "name": "split",
    "defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"}}, "workers": {
    "splitter": {"command": ["splitter-worker"], "ready": {"type": "notify"},
                 "config": {"directory": "/usr/include/linux", "rounds": 0, "poison": 3}},
    "cruncher": {"command": ["cruncher-worker"], "instances": 2, "ready": {"type": "notify"},
                 "limits": {"core": 0}}},
    "links": {"jobs": {"type": "queue", "from": "splitter", "to": "cruncher", "max_attempts": 2}}})");
  std::string log;
  system.await(
      [&](const auto&) {
        log = read_log(system, "split", "splitter.0");
        return log.find("check:") != log.npos;
      },
      "a round to end");
  EXPECT_NE(log.find("poison: planted=3 given_up=3"), log.npos) << log;
  EXPECT_NE(log.find("check: ok"), log.npos) << log;
  EXPECT_GE(system.events_of("cruncher.0", "task.quarantined").size() +
                system.events_of("cruncher.1", "task.quarantined").size(),
            3U);
}

TEST_F(Demo, brains_die_under_load_and_the_streams_go_on) {
  std::vector<double> back;
  for (int round = 0; round < 20; ++round) {
    const int brain = system.brain_pid();
    const auto& victim = victims[static_cast<std::size_t>(round) % victims.size()];
    const int pid = system.worker(victim)["pid"];
    const auto t0 = base::monotonic_ns();
    ::kill(brain, SIGKILL);
    if (round % 2 == 0) ::kill(pid, SIGKILL);
    system.await([&](const auto& status) { return status["supervisor"]["brain_pid"] != brain; },
                 "a new brain");
    back.push_back(static_cast<double>(base::monotonic_ns() - t0) / 1e6);
    if (round % 2 == 0) system.await_reborn(victim, pid);
  }
  print_quantiles("brain killed to status answered", back);
  await_progress();
  for (const auto& sink : sinks) expect_whole(sink + ".0");
}

}  // namespace
}  // namespace bulkhead::test
