// Topics in whole systems, whose ends wait from outside: by wait_any, by Asio, and in a loop of poll(2). Everybody is
// killed in turn, and no message is missing without a word.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "tests/conformance/transports.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

const std::vector<std::string> publishers = {"left", "right"};
const std::vector<std::string> subscribers = {"async", "any", "loop"};

std::string config(Transport transport) {
  const auto worker = [](const std::string& name, const std::string& role) {
    return "\"" + name + R"(": {"command": [")" TOPIC_ROLES R"(", ")" + role +
           R"("], "ready": {"type": "notify"}})";
  };
  const auto link = [&](const std::string& name, const std::string& to) {
    return "\"" + name + R"(": {"type": "topic", "from": ")" + name +
           R"(", "capacity": "4KiB", "max_message": "64B", "transport": ")" +
           std::string(to_string(transport)) + R"(", "to": [)" + to + "]}";
  };
  return R"({"version": 1, "name": "outside",
    "defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"}},
    "workers": {)" +
         worker("left", "publish") + "," + worker("right", "publish") + "," +
         worker("async", "async") + "," + worker("any", "any") + "," + worker("loop", "loop") +
         R"(}, "links": {)" +
         link("left", R"("async", {"worker": "any", "overflow": "drop_oldest"}, "loop")") + "," +
         link("right",
              R"({"worker": "async", "overflow": "conflate"}, "any",
                 {"worker": "loop", "overflow": "drop_newest"})") +
         "}}";
}

// Of each subscriber of each topic: what is behind it.
std::vector<std::uint64_t> settled(const nlohmann::json& status) {
  std::vector<std::uint64_t> messages;
  for (const auto& link : status["links"]) {
    for (const auto& row : link["subscribers"]) {
      messages.push_back(row["sent"].get<std::uint64_t>() - row["depth"].get<std::uint64_t>());
    }
  }
  return messages;
}

class TopicOutside : public testing::TestWithParam<Transport> {
 protected:
  TopicOutside() : system("outside", config(GetParam())) { system.await_all_ready(); }

  void await_progress(std::uint64_t more) {
    const auto before = settled(system.status());
    ASSERT_EQ(before.size(), publishers.size() * subscribers.size());
    system.await(
        [&](const auto& status) {
          const auto now = settled(status);
          for (std::size_t i = 0; i < before.size(); ++i) {
            if (now[i] < before[i] + more) return false;
          }
          return true;
        },
        "every subscriber to move on");
  }

  RunningSystem system;
};

TEST_P(TopicOutside, every_message_is_received_or_told_whoever_is_killed) {
  await_progress(100);
  for (const auto* names : {&publishers, &subscribers}) {
    for (const auto& name : *names) {
      const std::string victim = name + ".0";
      const int before = system.worker(victim)["pid"];
      ASSERT_EQ(::kill(before, SIGKILL), 0) << victim;
      system.await_reborn(victim, before);
      await_progress(20);
    }
    system.kill_brain();
  }
  await_progress(50);
  for (const auto& name : publishers) system.request("stop", {{"name", name}});
  const auto end = system.await(
      [](const auto& status) {
        return status["links"][0]["depth"] == 0 && status["links"][1]["depth"] == 0;
      },
      "the subscribers to be through with everything");
  for (const auto& link : end["links"]) {
    for (const auto& row : link["subscribers"]) {
      EXPECT_EQ(row["acknowledged"].get<std::uint64_t>() + row["dropped"].get<std::uint64_t>(),
                link["published"].get<std::uint64_t>())
          << row;
    }
  }
  for (const auto& name : subscribers) system.request("stop", {{"name", name}});
  for (const auto* names : {&publishers, &subscribers}) {
    for (const auto& name : *names) {
      std::ifstream log(system.directory().path("run/outside/logs/" + name + ".0.log"));
      for (std::string line; std::getline(log, line);) {
        EXPECT_EQ(line.find("wrong"), std::string::npos) << name << ": " << line;
      }
    }
  }
}

BULKHEAD_OVER_ALL_TRANSPORTS(TopicOutside);

}  // namespace
}  // namespace bulkhead::test
