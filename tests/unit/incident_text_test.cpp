// Incidents as a person reads them.
#include "cli/incident_text.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace bulkhead::cli {
namespace {

using nlohmann::json;

json incident(int number, const char* name, double ready_us) {
  return {{"number", number},
          {"name", name},
          {"pid", 4711},
          {"cause", "SIGKILL"},
          {"words", "killed by SIGKILL"},
          {"state", "closed"},
          {"died_ns", 0},
          {"ready_us", ready_us},
          {"report", {{"backtrace", json::array()}, {"last_logs", json::array()}}}};
}

json crash(int number, const char* name, int offset) {
  json made = incident(number, name, 1900);
  made["cause"] = "SIGSEGV";
  made["words"] = "SIGSEGV reading 0x" + std::to_string(number);
  made["report"]["backtrace"] = json::array({{{"function", "app::parse"},
                                              {"file", "parse.cpp"},
                                              {"line", 12},
                                              {"module", "/bin/app"},
                                              {"offset", offset}}});
  return made;
}

class IncidentText : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
};

TEST_F(IncidentText, counts_those_that_are_alike_and_shows_the_last) {
  const json all{crash(1, "app.0", 100), crash(2, "app.1", 100), crash(3, "app.0", 200),
                 crash(4, "app.0", 100)};
  EXPECT_EQ(incident_groups(all, 0, false),
            "app.0  SIGSEGV reading 0x3\n"
            "    00:00:00.000, incident 3, pid 4711, ready again after 1.9 ms\n"
            "    at app::parse  parse.cpp:12\n"
            "app, 2 instances  SIGSEGV reading 0x4, seen 3 times, the last time\n"
            "    00:00:00.000, incident 4, app.0, pid 4711, ready again after 1.9 ms\n"
            "    at app::parse  parse.cpp:12\n");
}

TEST_F(IncidentText, says_of_how_many_instances_they_are_and_whose_the_last_is) {
  const json both = {incident(1, "math.0", 1900), incident(2, "math.1", 1900)};
  EXPECT_EQ(incident_groups(both, 0, false),
            "math, 2 instances  killed by SIGKILL, seen 2 times, the last time\n"
            "    00:00:00.000, incident 2, math.1, pid 4711, ready again after 1.9 ms\n");
}

TEST_F(IncidentText, folds_a_recursion) {
  json one = crash(1, "app.0", 1);
  json frames = json::array();
  json inlined = one["report"]["backtrace"][0];
  inlined["function"] = "parse";
  inlined["inlined"] = true;
  for (int i = 0; i < 30; ++i) {
    frames.push_back(inlined);
    frames.push_back(one["report"]["backtrace"][0]);
  }
  one["report"]["backtrace"] = frames;
  EXPECT_NE(incident_groups(json{one}, 0, false).find("at app::parse  parse.cpp:12, 60 times\n"),
            std::string::npos);
}

TEST_F(IncidentText, leaves_out_how_one_dies_and_what_headers_put_in) {
  json one = crash(1, "app.0", 1);
  const json own = one["report"]["backtrace"][0];
  json raise = own, inlined = own, main = own;
  raise["function"] = "raise";
  inlined["inlined"] = true;
  inlined["file"] = "/usr/include/c++/12/bits/vector";
  main["function"] = "main";
  one["report"]["backtrace"] = {raise, inlined, own, raise, main};
  const auto text = incident_groups(json{one}, 0, false);
  EXPECT_NE(text.find("ms\n    at app::parse  parse.cpp:12\n    at raise"), std::string::npos)
      << text;
  EXPECT_NE(text.find("    at main"), std::string::npos) << text;
}

TEST_F(IncidentText, names_what_keeps_a_frame_from_being_named) {
  json one = crash(1, "app.0", 1);
  one["report"]["backtrace"][0] = {
      {"function", nullptr},  {"file", nullptr}, {"line", nullptr},          {"address", "0x1234"},
      {"module", "/bin/app"}, {"offset", 1},     {"problem", "was replaced"}};
  EXPECT_NE(incident_groups(json{one}, 0, false).find("at /bin/app+0x1  (was replaced)\n"),
            std::string::npos);
}

// Two places in one program without names are two places.
TEST_F(IncidentText, tells_nameless_frames_apart_by_where_they_are) {
  json one = crash(1, "app.0", 1);
  const json frame{{"function", nullptr}, {"module", "/bin/app"}, {"offset", 16}};
  json other = frame;
  other["offset"] = 32;
  one["report"]["backtrace"] = {frame, frame, other};
  EXPECT_NE(incident_groups(json{one}, 0, false)
                .find("    at /bin/app+0x10, 2 times\n    at /bin/app+0x20\n"),
            std::string::npos);
}

TEST_F(IncidentText, takes_kills_by_command_for_alike_whatever_the_command_s_pid_was) {
  json once = incident(1, "app.0", 1900), again = incident(2, "app.0", 1900);
  once["words"] = "killed by SIGKILL from pid 12 (bulkhead kill)";
  again["words"] = "killed by SIGKILL from pid 345 (bulkhead kill)";
  EXPECT_NE(incident_groups(json{once, again}, 0, false).find("seen 2 times"), std::string::npos);
}

TEST_F(IncidentText, cannot_steer_the_terminal) {
  json one = crash(1, "app.0", 1);
  one["words"] = "abort: uncaught X: \033[2J";
  one["report"]["last_logs"] = {"a\033[31m"};
  EXPECT_EQ(incident_groups(json{one}, 0, false).find('\033'), std::string::npos);
}

TEST_F(IncidentText, recovery_is_told_by_cause_without_those_that_never_came_back) {
  json all = json::array();
  for (int i = 1; i <= 100; ++i) all.push_back(incident(i, "app.0", i));
  json lost = incident(101, "app.0", 0);
  lost["ready_us"] = nullptr;
  all.push_back(lost);
  const auto recovery = recovery_by_cause(all);
  ASSERT_EQ(recovery.size(), 1U);
  EXPECT_EQ(recovery["SIGKILL"]["n"], 100);
  EXPECT_EQ(recovery["SIGKILL"]["ready_p50_us"], 50);
  EXPECT_EQ(recovery["SIGKILL"]["ready_p99_us"], 99);
  EXPECT_EQ(recovery_by_cause(json::array()), json::object());
}

}  // namespace
}  // namespace bulkhead::cli
