// Topics in whole systems: publisher and subscribers are killed and stopped under every policy, and the
// sinks say of each message whether it came, was told as missing, or neither.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "tests/conformance/transports.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

// A lane holds 63 ticks. Every sink but the first is slower than the ticker.
std::string config(Transport transport) {
  return R"({"version": 1, "name": "topics",
  "defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"}},
  "workers": {
    "ticker": {"command": ["ticker-worker"], "ready": {"type": "notify"},
               "config": {"link": "ticks", "rate_hz": 2000, "size": 48}},
    "sure": {"command": ["sink-worker"], "instances": 2, "ready": {"type": "notify"},
             "config": {"link": "ticks", "report_every": "10ms"}},
    "oldest": {"command": ["sink-worker"], "ready": {"type": "notify"},
               "config": {"link": "ticks", "report_every": "10ms", "work": "5ms"}},
    "newest": {"command": ["sink-worker"], "ready": {"type": "notify"},
               "config": {"link": "ticks", "report_every": "10ms", "work": "5ms"}},
    "latest": {"command": ["sink-worker"], "ready": {"type": "notify"},
               "config": {"link": "ticks", "report_every": "10ms", "work": "5ms"}}},
  "links": {"ticks": {"type": "topic", "from": "ticker", "capacity": "4KiB", "max_message": "64B",
    "transport": ")" +
         std::string(to_string(transport)) + R"(",
    "to": ["sure",
           {"worker": "oldest", "overflow": "drop_oldest", "history": 5},
           {"worker": "newest", "overflow": "drop_newest"},
           {"worker": "latest", "overflow": "conflate", "history": 1}]}}})";
}

const std::vector<std::string> sinks = {"sure.0", "sure.1", "oldest.0", "newest.0", "latest.0"};

// "delivered=12 gaps=0 …" -> 12 for "delivered".
long figure(const std::string& text, const std::string& name) {
  const auto at = text.find(name + "=");
  if (at == text.npos) return -1;
  return std::strtol(text.c_str() + at + name.size() + 1, nullptr, 10);
}

nlohmann::json subscriber(const nlohmann::json& status, const std::string& name) {
  for (const auto& row : status["links"][0]["subscribers"]) {
    if (row["name"] == name) return row;
  }
  return nullptr;
}

class Topics : public testing::TestWithParam<Transport> {
 protected:
  Topics() : system("topics", config(GetParam())) { system.await_all_ready(); }

  int pid(const std::string& instance) { return system.worker(instance)["pid"]; }
  // Everybody, from here on, sees `more` messages go by, received or told.
  void await_progress(std::uint64_t more, const std::vector<std::string>& who = sinks) {
    const auto before = system.status();
    system.await(
        [&](const auto& status) {
          return std::all_of(who.begin(), who.end(), [&](const auto& name) {
            const auto settled = [&](const auto& at) {
              const auto row = subscriber(at, name);
              return row["sent"].template get<std::uint64_t>() -
                     row["depth"].template get<std::uint64_t>();
            };
            return settled(status) >= settled(before) + more;
          });
        },
        "every subscriber to move on");
  }
  // No sink, in any of its lives, missed a message that it was not told of, or saw a torn one.
  void expect_sound_logs() {
    for (const auto& name : sinks) {
      std::ifstream file(system.directory().path("run/topics/logs/" + name + ".log"));
      std::size_t reports = 0;
      for (std::string line; std::getline(file, line);) {
        EXPECT_EQ(line.find("gap:"), std::string::npos) << name << ": " << line;
        if (figure(line, "delivered") < 0) continue;
        ++reports;
        for (const char* bad : {"gaps", "torn", "unexpected"}) {
          EXPECT_EQ(figure(line, bad), 0) << name << ": " << line;
        }
      }
      EXPECT_GT(reports, 0U) << name;
    }
  }

  RunningSystem system;
};

TEST_P(Topics, every_message_is_received_or_told_whoever_is_killed) {
  await_progress(300);
  const std::vector<std::string> victims = {"ticker.0", "sure.0",   "oldest.0",
                                            "newest.0", "latest.0", "ticker.0"};
  for (int round = 0; round < 3; ++round) {
    for (const auto& victim : victims) {
      const int before = pid(victim);
      ASSERT_EQ(::kill(before, SIGKILL), 0) << victim;
      system.await_reborn(victim, before);
      await_progress(20);
    }
    system.kill_brain();
  }
  await_progress(100);
  system.request("stop", {{"name", "ticker"}});
  const auto end = system.await([](const auto& status) { return status["links"][0]["depth"] == 0; },
                                "the subscribers to be through with everything");
  const auto& link = end["links"][0];
  std::printf("%s\n", link.dump().c_str());
  for (const auto& name : sinks) {
    const auto row = subscriber(end, name);
    EXPECT_EQ(row["sent"], link["published"]) << row;
    EXPECT_EQ(row["acknowledged"].get<std::uint64_t>() + row["dropped"].get<std::uint64_t>(),
              row["sent"].get<std::uint64_t>())
        << row;
    if (name.starts_with("sure")) {
      EXPECT_LE(row["dropped"], 6) << row;  // a message for each death of the ticker at the most
    } else {
      EXPECT_GT(row["dropped"], 100) << row;
    }
  }
  for (const auto& name : {"sure", "oldest", "newest", "latest"}) {
    system.request("stop", {{"name", name}});
  }
  expect_sound_logs();
}

TEST_P(Topics, a_subscriber_that_stands_still_delays_nobody_and_hears_what_it_missed) {
  for (const std::string victim : {"oldest.0", "newest.0", "latest.0"}) {
    SCOPED_TRACE(victim);
    const int stopped = pid(victim);
    ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
    std::vector<std::string> others;
    for (const auto& name : sinks) {
      if (name != victim) others.push_back(name);
    }
    await_progress(1000, others);
    EXPECT_GT(subscriber(system.status(), victim)["dropped"], 500);
    ASSERT_EQ(::kill(stopped, SIGCONT), 0);
    await_progress(1000);
    EXPECT_EQ(pid(victim), stopped);
  }
  for (const auto& name : {"ticker", "sure", "oldest", "newest", "latest"}) {
    system.request("stop", {{"name", name}});
  }
  expect_sound_logs();
}

// Its lives stay in memory until the subscriber has drained them; after four the next has to wait.
TEST_P(Topics, a_publisher_that_died_often_waits_for_the_subscriber_that_must_lose_nothing) {
  await_progress(100);
  const int stopped = pid("sure.0");
  ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
  for (int deaths = 0; deaths < 6; ++deaths) {
    const auto ticker = system.worker("ticker.0");
    if (ticker["pid"].is_number()) ::kill(ticker["pid"].get<int>(), SIGKILL);
    system.await(
        [&](const auto& status) {
          return row(status, "ticker.0")["restarts"] > ticker["restarts"];
        },
        "the ticker to be started again");
  }
  ASSERT_EQ(::kill(stopped, SIGCONT), 0);
  await_progress(300);
  EXPECT_EQ(pid("sure.0"), stopped);
  for (const auto& name : {"ticker", "sure", "oldest", "newest", "latest"}) {
    system.request("stop", {{"name", name}});
  }
  expect_sound_logs();
}

TEST_P(Topics, are_one_row_of_the_status_each) {
  const auto status = system.status();
  ASSERT_EQ(status["links"].size(), 1U);
  const auto& link = status["links"][0];
  EXPECT_EQ(link["type"], "topic");
  EXPECT_EQ(link["transport"], to_string(GetParam()));
  EXPECT_EQ(link["from"], "ticker.0");
  EXPECT_EQ(link["to"], nlohmann::json(sinks));
  EXPECT_EQ(subscriber(status, "latest.0")["overflow"], "conflate");
  EXPECT_EQ(system.request("status", {{"name", "oldest"}})["links"].size(), 1U);
}

BULKHEAD_OVER_ALL_TRANSPORTS(Topics);

}  // namespace
}  // namespace bulkhead::test
