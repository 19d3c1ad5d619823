// Events and figures as a person reads them.
#include "cli/event_text.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr std::int64_t second = 1'000'000'000;

json event(const char* type, std::int64_t t_ns, json more = json::object()) {
  json made{{"seq", 1}, {"t_ns", t_ns}, {"type", type}, {"name", "echo.0"}, {"pid", 4711}};
  made.update(more);
  return made;
}
json killed() { return {{"exit", {{"kind", "signal"}, {"code", 9}, {"signal", "SIGKILL"}}}}; }
json exited(int code) { return {{"exit", {{"kind", "exit"}, {"code", code}}}}; }

class EventLine : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
  // 1970-01-01T12:03:00 UTC at monotonic 0.
  EventText text_{(12 * 3600 + 3 * 60) * second, false};
};

TEST_F(EventLine, a_ready_tells_how_long_after_which_death) {
  EXPECT_EQ(text_.line(event("worker.exited", 7 * second + 410'100'000, killed())),
            "12:03:07.410  echo.0  died, pid 4711, SIGKILL");
  EXPECT_EQ(text_.line(event("worker.ready", 7 * second + 412'000'000)),
            "12:03:07.412  echo.0  ready, pid 4711, 1.9 ms after its death by SIGKILL");
}

TEST_F(EventLine, a_given_up_task_names_its_queue_and_its_last_worker) {
  const json task = {{"link", "jobs"}, {"task", 17}, {"attempts", 3}};
  EXPECT_EQ(text_.line(event("task.quarantined", 7 * second, task)),
            "12:03:07.000  echo.0  task 17 of jobs given up after 3 attempts");
}

TEST_F(EventLine, a_dead_letter_that_is_requeued_or_dropped_names_its_queue) {
  EXPECT_EQ(text_.line(event("task.requeued", 7 * second, {{"link", "jobs"}, {"task", 17}})),
            "12:03:07.000  echo.0  task 17 of jobs requeued");
  EXPECT_EQ(text_.line(event("task.dropped", 7 * second,
                             {{"link", "jobs"}, {"task", 17}, {"dropped", 2}})),
            "12:03:07.000  echo.0  dead letter 17 of jobs dropped for want of room, 2 so far");
}

TEST_F(EventLine, a_text_cannot_steer_the_terminal) {
  const auto line = text_.line(event("worker.failed", 0, {{"text", "a\033[2Jb\nc"}}));
  EXPECT_NE(line.find("a\\x1b[2Jb\\x0ac"), std::string::npos) << line;
}

TEST(Cells, cannot_steer_the_terminal_or_break_the_table) {
  Table table({{"WORKER"}, {""}});
  table.add({{"it.0"},
             {std::string("\033]0;x\007é\n\0\x7f\xe2\x80\xae\xc2\x9b"
                          "2J",
                          18)}});
  EXPECT_EQ(table.render(false),
            "WORKER  \nit.0    \\x1b]0;x\\x07é\\x0a\\x00\\x7f\\xe2\\x80\\xae\\x9b2J\n");
}

TEST_F(EventLine, a_first_ready_tells_of_no_death) {
  EXPECT_EQ(text_.line(event("worker.ready", 0)), "12:03:00.000  echo.0  ready, pid 4711");
}

TEST_F(EventLine, an_end_that_was_asked_for_is_no_death) {
  text_.line(event("worker.stopping", 0));
  EXPECT_EQ(text_.line(event("worker.exited", second, killed())),
            "12:03:01.000  echo.0  ended, pid 4711, SIGKILL");
  EXPECT_EQ(text_.line(event("worker.ready", 2 * second)), "12:03:02.000  echo.0  ready, pid 4711");
}

TEST_F(EventLine, an_exit_code_is_told_as_it_is) {
  EXPECT_EQ(text_.line(event("worker.exited", 0, exited(3))),
            "12:03:00.000  echo.0  died, pid 4711, exit code 3");
  EXPECT_EQ(text_.line(event("worker.ready", second)),
            "12:03:01.000  echo.0  ready, pid 4711, 1.0 s after its exit code 3");
}

TEST_F(EventLine, names_are_lined_up) {
  text_.expect_name("splitter.0");
  EXPECT_EQ(text_.line(event("worker.starting", 0)), "12:03:00.000  echo.0      starting");
}

TEST_F(EventLine, a_backoff_tells_the_wait) {
  EXPECT_EQ(text_.line(event("worker.backoff", 0, {{"until_ns", 250'000'000}})),
            "12:03:00.000  echo.0  starts again in 250 ms");
}

TEST_F(EventLine, a_type_from_a_newer_supervisor_is_shown_by_its_name) {
  EXPECT_EQ(text_.line(event("worker.enthroned", 0, {{"text", "to captain"}})),
            "12:03:00.000  echo.0  worker.enthroned: to captain");
}

TEST_F(EventLine, tells_who_stepped_in_and_what_becomes_of_spares) {
  EXPECT_EQ(text_.line(event("worker.promoted", 0, {{"text", "was echo+spare.0"}})),
            "12:03:00.000  echo.0  promoted: was echo+spare.0");
  EXPECT_EQ(text_.line(event("spare.ready", 0)),
            "12:03:00.000  echo.0  waits to step in, pid 4711");
  EXPECT_EQ(
      text_.line(event("spare.exited", 0, {{"exit", {{"kind", "signal"}, {"signal", "SIGKILL"}}}})),
      "12:03:00.000  echo.0  ended: SIGKILL");
}

TEST_F(EventLine, fields_of_the_wrong_type_do_no_harm) {
  EXPECT_EQ(text_.line({{"t_ns", "soon"}, {"type", 5}, {"name", nullptr}}), "12:03:00.000    ");
  EXPECT_EQ(text_.line(event("worker.exited", 0, {{"exit", "gone"}})),
            "12:03:00.000  echo.0  died, pid 4711, ");
}

TEST(ExitText, says_who_sent_the_signal_where_that_is_known) {
  EXPECT_EQ(exit_text({{"kind", "oom"}, {"signal", "SIGKILL"}}), "SIGKILL (out of memory)");
  EXPECT_EQ(exit_text({{"kind", "watchdog"}, {"signal", "SIGKILL"}}), "SIGKILL (watchdog)");
  EXPECT_EQ(exit_text({{"kind", "lease_timeout"}, {"signal", "SIGKILL"}}),
            "SIGKILL (lease timeout)");
  EXPECT_EQ(exit_text({{"kind", "exec_failed"}, {"error", "No such file or directory"}}),
            "failure to start (No such file or directory)");
  EXPECT_EQ(exit_text(nullptr), "");
}

TEST(SpanText, has_the_unit_that_fits) {
  EXPECT_EQ(span_text(870ns), "870 ns");
  EXPECT_EQ(span_text(1900us), "1.9 ms");
  EXPECT_EQ(span_text(115us), "115 us");
  EXPECT_EQ(span_text(3200ms), "3.2 s");
  EXPECT_EQ(span_text(247s), "4m 7s");
  EXPECT_EQ(span_text(3h + 2min), "3h 2m");
  EXPECT_EQ(span_text(100h), "4d 4h");
}

TEST(TableText, columns_are_as_wide_as_their_widest_cell) {
  Table table({{"NAME"}, {"N", Table::Align::right}, {"END"}});
  table.add({{"überlang"}, {"1"}, {"x"}});
  table.add({{"a"}, {"100"}, {"y"}});
  EXPECT_EQ(table.render(false),
            "NAME        N  END\n"
            "überlang    1  x\n"
            "a         100  y\n");
}

}  // namespace
}  // namespace bulkhead::cli
