// Published buffers in whole systems: whoever is killed, a ticket opens what it named, and nothing is left of
// what was withdrawn.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "tests/conformance/transports.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

std::string worker_entry(const std::string& name, const std::string& command, int instances = 1) {
  return "\"" + name + R"(": {"command": [")" TEST_PROGRAMS "/" + command +
         R"("], "ready": {"type": "notify"}, "instances": )" + std::to_string(instances) + "}";
}

std::string config(const std::string& workers, const std::string& links) {
  return R"({"version": 1, "name": "s",
    "defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"}},
    "workers": {)" +
         workers + R"(}, "links": {)" + links + "}}";
}

class SealedSystem : public testing::Test {
 protected:
  void kill(const std::string& instance) {
    const int pid = system->worker(instance)["pid"];
    ::kill(pid, SIGKILL);
    system->await_reborn(instance, pid);
  }
  std::string log_of(const std::string& instance) const {
    std::ostringstream text;
    text << std::ifstream(system->directory().path("run/s/logs/" + instance + ".log")).rdbuf();
    return text.str();
  }
  // Sealed buffers that a process of the system holds a descriptor of.
  static int descriptors_of(int pid, const std::string& name) {
    int count = 0;
    const std::filesystem::path all = "/proc/" + std::to_string(pid) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(all)) {
      std::error_code gone;
      const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
      count += target.find("memfd:bulkhead:sealed:" + name) != std::string::npos ? 1 : 0;
    }
    return count;
  }
  std::optional<RunningSystem> system;
};

TEST_F(SealedSystem, lets_every_worker_open_and_only_the_owner_withdraw_and_bounds_their_number) {
  system.emplace("s", config(worker_entry("owner", R"(sealed_roles", "owner)") + "," +
                                 worker_entry("rules", R"(sealed_roles", "rules)"),
                             R"("tickets": {"from": "owner", "to": "rules"})"));
  const auto status = system->await(
      [](const auto& now) { return row(now, "rules.0")["status_text"] != ""; }, "a verdict");
  EXPECT_EQ(row(status, "rules.0")["status_text"], "all rules hold");
}

class PriceList : public SealedSystem, public testing::WithParamInterface<Transport> {
 protected:
  void SetUp() override {
    system.emplace("s", config(worker_entry("prices", "prices_worker") + "," +
                                   worker_entry("shopper", "shopper_worker", 2),
                               R"("prices": {"from": "prices", "to": "shopper", "transport": ")" +
                                   std::string(to_string(GetParam())) + "\"}"));
    system->await_all_ready();
  }
  int bought(const std::string& instance) const {
    int count = 0;
    const std::string log = log_of(instance);
    for (auto at = log.find("pear: 1.20"); at != log.npos; at = log.find("pear: 1.20", at + 1))
      ++count;
    return count;
  }
  void await_bought(const std::string& instance, int times) {
    system->await([&](const auto&) { return bought(instance) >= times; },
                  instance + " to print a price");
  }
};

TEST_P(PriceList, is_read_by_all_and_again_by_a_successor_of_each) {
  await_bought("shopper.0", 1);
  await_bought("shopper.1", 1);
  kill("shopper.0");
  await_bought("shopper.0", 2);  // it held its message, so that this one is given it again
  kill("prices.0");              // whose successor offers the same list
  await_bought("shopper.0", 3);
  await_bought("shopper.1", 2);
  EXPECT_EQ(descriptors_of(system->keeper_pid(), "prices"), 1);
}

TEST_P(PriceList, outlives_its_maker_and_the_brain) {
  await_bought("shopper.0", 1);
  system->kill_brain();
  kill("shopper.0");
  await_bought("shopper.0", 2);
  EXPECT_EQ(descriptors_of(system->keeper_pid(), "prices"), 1);
  EXPECT_EQ(descriptors_of(system->brain_pid(), "prices"), 1);
}
BULKHEAD_OVER_ALL_TRANSPORTS(PriceList);

TEST_F(SealedSystem, leaves_nothing_of_what_was_withdrawn_whoever_was_killed_meanwhile) {
  system.emplace("s", config(worker_entry("churn", R"(sealed_roles", "churn)", 2), ""));
  system->await_all_ready();
  for (int round = 0; round < 12; ++round) {
    const std::string instance = "churn." + std::to_string(round % 2);
    const auto before = system->worker(instance)["status_text"];
    system->await(
        [&](const auto& status) { return row(status, instance)["status_text"] != before; },
        "buffers to be published");
    if (round % 3 == 0) system->kill_brain();
    if (round % 3 != 1) kill(instance);
  }
  for (const char* const instance : {"churn.0", "churn.1"}) {
    system->request("stop", {{"name", instance}});
    system->await([&](const auto& status) { return row(status, instance)["state"] == "disabled"; },
                  "a stop");
    EXPECT_EQ(system->worker(instance)["last_exit"]["code"], 0);
  }
  EXPECT_EQ(descriptors_of(system->keeper_pid(), "churn"), 0);
  EXPECT_EQ(descriptors_of(system->brain_pid(), "churn"), 0);
}

TEST_F(SealedSystem, keeps_descriptors_for_whoever_comes_to_life_again) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{200, 200};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  system.emplace("s", config(worker_entry("hoard", R"(sealed_roles", "hoard)", 2), ""));
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &before));  // where we may
  const auto status = system->await(
      [](const auto& now) {
        return row(now, "hoard.0")["status_text"] != "" && row(now, "hoard.1")["status_text"] != "";
      },
      "refusals");
  for (const char* const instance : {"hoard.0", "hoard.1"}) {
    const std::string text = row(status, instance)["status_text"];
    EXPECT_EQ(text.rfind("refused after ", 0), 0U) << text;
  }
  const int held = descriptors_of(system->keeper_pid(), "churn");
  EXPECT_GT(held, 20);
  EXPECT_LT(held, 100);
  kill("hoard.0");
  system->kill_brain();
  kill("hoard.1");
}

}  // namespace
}  // namespace bulkhead::test
