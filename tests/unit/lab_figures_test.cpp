// What the lab makes of turns that are given by hand: figures, lines and the picture.
#include <gtest/gtest.h>

#include "lab/gantt.hpp"
#include "lab/scheduling.hpp"

namespace bulkhead::lab {
namespace {

using std::chrono::milliseconds;

// A is interrupted by B: A 0 to 10 and 30 to 40, B, submitted at 5, 10 to 30.
SchedulingLab two_jobs() {
  SchedulingLab lab;
  lab.jobs = {{'A', milliseconds(0), milliseconds(20), 0},
              {'B', milliseconds(5), milliseconds(20), 0}};
  PolicyRun run;
  run.policy = SchedulingPolicy::round_robin;
  run.turns = {{0, 0, 0, 10}, {1, 0, 10, 30}, {0, 0, 30, 40}};
  run.figures = figures_of(lab.jobs, run.turns);
  lab.runs = {run};
  return lab;
}

TEST(LabFigures, are_means_over_the_jobs) {
  const auto figures = two_jobs().runs[0].figures;
  EXPECT_DOUBLE_EQ(figures.turnaround, (40.0 + 25.0) / 2);
  EXPECT_DOUBLE_EQ(figures.waiting, (20.0 + 5.0) / 2);
  EXPECT_DOUBLE_EQ(figures.response, (0.0 + 5.0) / 2);
  EXPECT_EQ(figures.switches, 2U);
  // Slowdowns 2 and 1.25.
  EXPECT_DOUBLE_EQ(figures.fairness, 3.25 * 3.25 / (2 * (4 + 1.5625)));
}

TEST(LabFigures, count_switches_for_each_processor) {
  const std::vector<Job> jobs{{'A', milliseconds(0), milliseconds(10), 0},
                              {'B', milliseconds(0), milliseconds(10), 0}};
  const auto figures = figures_of(jobs, {{0, 0, 0, 10}, {1, 1, 0, 10}});
  EXPECT_EQ(figures.switches, 0U);
  EXPECT_DOUBLE_EQ(figures.fairness, 1.0);
}

TEST(LabGantt, names_who_had_most_of_each_column) {
  const auto lab = two_jobs();
  EXPECT_EQ(gantt_lines(lab, lab.runs[0], 8), (std::vector<std::string>{"AABBBBAA"}));
  EXPECT_EQ(gantt_lines(lab, lab.runs[0], 2), (std::vector<std::string>{"AB"}));
}

TEST(LabGantt, has_a_line_for_each_processor_and_dots_where_nobody_ran) {
  auto lab = two_jobs();
  lab.workers = 2;
  lab.runs[0].turns = {{0, 0, 0, 20}, {1, 1, 10, 40}};
  EXPECT_EQ(gantt_lines(lab, lab.runs[0], 4), (std::vector<std::string>{"AA..", ".BBB"}));
}

TEST(LabGantt, of_nothing_is_empty_and_no_division) {
  SchedulingLab lab;
  lab.runs.emplace_back();
  EXPECT_EQ(gantt_lines(lab, lab.runs[0], 3), (std::vector<std::string>{"..."}));
  EXPECT_NE(gantt_svg(lab).find("</svg>"), std::string::npos);
}

TEST(LabGantt, draws_each_turn_and_names_the_policy) {
  const auto drawn = gantt_svg(two_jobs());
  std::size_t turns = 0;
  for (auto at = drawn.find("<title>"); at != std::string::npos; at = drawn.find("<title>", at + 1))
    ++turns;
  EXPECT_EQ(turns, 3U);
  EXPECT_NE(drawn.find("round_robin"), std::string::npos);
  EXPECT_NE(drawn.find("B: 10.0 to 30.0 ms"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::lab
