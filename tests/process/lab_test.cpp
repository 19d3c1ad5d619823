// `bulkhead lab` as a user sees it, with real processes.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/command.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

CommandOutput lab(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {BULKHEAD_PROGRAM, "lab"});
  return run_command(std::move(arguments), {}, std::chrono::seconds(60));
}

TEST(Lab, lists_what_there_is) {
  const auto listed = lab({});
  EXPECT_EQ(listed.code, 0);
  EXPECT_NE(listed.out.find("\nscheduling "), std::string::npos) << listed.out;
  const auto labs = json::parse(lab({"--json"}).out).at("labs");
  ASSERT_EQ(labs.size(), 1U);
  EXPECT_EQ(labs[0].at("name"), "scheduling");
  EXPECT_TRUE(labs[0].at("title").is_string());
}

TEST(Lab, names_what_it_does_not_know) {
  const auto unknown = lab({"schedulin"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.err.find("did you mean scheduling?"), std::string::npos) << unknown.err;
  EXPECT_EQ(lab({"scheduling", "--workers", "0"}).code, 2);
}

TEST(Lab, that_cannot_write_its_picture_says_so_before_it_begins) {
  const auto refused = lab({"scheduling", "--svg", "/no/such/place.svg"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(refused.out, "");
  EXPECT_NE(refused.err.find("/no/such/place.svg"), std::string::npos) << refused.err;
}

class SchedulingLab : public testing::TestWithParam<int> {};

// That none runs beside too many others, and the comparisons with the theory, are its own steps.
TEST_P(SchedulingLab, runs_each_job_to_its_end_under_each_policy) {
  const TemporaryDirectory directory;
  const auto picture = directory.path("gantt.svg");
  const auto ended =
      lab({"scheduling", "--workers", std::to_string(GetParam()), "--json", "--svg", picture});
  ASSERT_EQ(ended.code, 0) << ended.out << ended.err;
  const auto told = json::parse(ended.out);
  EXPECT_EQ(told.at("name"), "scheduling");
  EXPECT_TRUE(told.at("passed"));
  EXPECT_GE(told.at("steps").size(), 6U);
  for (const auto& step : told.at("steps")) EXPECT_TRUE(step.at("passed")) << step;
  const std::map<std::string, double> lengths{{"A", 160}, {"B", 120}, {"C", 20},
                                              {"D", 60},  {"E", 10},  {"F", 40}};
  std::size_t turns = 0;
  ASSERT_EQ(told.at("runs").size(), 6U);
  for (const auto& run : told.at("runs")) {
    std::map<std::string, double> ran;
    for (const auto& turn : run.at("turns")) {
      ran[turn.at("job")] += turn.at("end_ms").get<double>() - turn.at("begin_ms").get<double>();
      EXPECT_LT(turn.at("processor"), GetParam());
    }
    // A turn ends with the signal, which takes a moment to arrive.
    for (const auto& [job, length] : lengths)
      EXPECT_GT(ran[job], 0.9 * length) << run.at("policy") << job;
    turns += run.at("turns").size();
  }
  std::ifstream file(picture);
  std::stringstream drawn;
  drawn << file.rdbuf();
  std::size_t titles = 0;
  for (auto at = drawn.str().find("<title>"); at != std::string::npos;
       at = drawn.str().find("<title>", at + 1))
    ++titles;
  EXPECT_EQ(titles, turns);
}
INSTANTIATE_TEST_SUITE_P(Workers, SchedulingLab, testing::Values(1, 2));

TEST(Lab, shows_a_line_for_each_policy_and_what_passed) {
  const auto shown = lab({"scheduling"});
  EXPECT_EQ(shown.code, 0) << shown.out;
  for (const char* const policy : {"first_come", "shortest_next", "priority_aging",
                                   "shortest_remaining", "round_robin", "feedback"}) {
    EXPECT_NE(shown.out.find(std::string("\n") + policy + " "), std::string::npos) << policy;
  }
  EXPECT_NE(shown.out.find("\nyes  shortest_next lets jobs wait less"), std::string::npos)
      << shown.out;
  EXPECT_EQ(shown.out.find("\nNO "), std::string::npos) << shown.out;
}

}  // namespace
}  // namespace bulkhead::test
