// Why a process does not do what it should, out of two looks at its threads; and how that is kept.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "supervisor/hang_report.hpp"

namespace bulkhead::supervisor {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

ThreadState thread(pid_t id, char state, int on_cpu_ms = 0, int waited_ms = 0) {
  return {id, "t", state, milliseconds(on_cpu_ms), milliseconds(waited_ms), ""};
}

// Two looks, 100 ms apart; the first one finds the same states, and no time used.
Verdict judge_course(std::vector<ThreadState> now) {
  ThreadsSeen before{1, milliseconds(1000), now}, later{1, milliseconds(1100), std::move(now)};
  for (auto& thread : before.threads) thread.on_cpu = thread.waited = {};
  return judge(before, later);
}

TEST(Hang, of_one_who_sleeps_is_blocked) {
  const auto verdict = judge_course({thread(1, 'S'), thread(2, 'S', 3)});
  EXPECT_EQ(verdict.hang, Hang::blocked);
  EXPECT_EQ(verdict.thread, 1);
  EXPECT_EQ(in_words(verdict, 1), "its main thread was asleep, waiting for something");
}

TEST(Hang, of_one_who_computes_is_spinning_whatever_the_others_do) {
  const auto verdict = judge_course({thread(1, 'S'), thread(2, 'D'), thread(3, 'R', 97, 3)});
  EXPECT_EQ(verdict.hang, Hang::spinning);
  EXPECT_EQ(verdict.thread, 3);
  EXPECT_EQ(in_words(verdict, 1), "thread 3 was busy (97 % of a processor)");
}

TEST(Hang, of_one_who_shares_a_processor_with_many_is_spinning_all_the_same) {
  EXPECT_EQ(judge_course({thread(1, 'R', 20, 80)}).hang, Hang::spinning);
}

TEST(Hang, is_none_when_there_is_no_processor_for_it) {
  EXPECT_EQ(judge_course({thread(1, 'R', 2, 98)}).hang, Hang::starved);
  EXPECT_EQ(judge_course({thread(1, 'S'), thread(2, 'R', 0, 60)}).hang, Hang::starved);
  // Held back by its control group, which no queue counts.
  EXPECT_EQ(judge_course({thread(1, 'R', 0, 0)}).hang, Hang::starved);
}

TEST(Hang, of_one_whom_a_signal_stopped_needs_all_of_its_threads) {
  EXPECT_EQ(judge_course({thread(1, 'T'), thread(2, 'T')}).hang, Hang::stopped);
  EXPECT_EQ(judge_course({thread(1, 'T'), thread(2, 'S')}).hang, Hang::blocked);
}

TEST(Hang, of_one_in_the_kernel_is_uninterruptible) {
  const auto verdict = judge_course({thread(1, 'S'), thread(7, 'D')});
  EXPECT_EQ(verdict.hang, Hang::uninterruptible);
  EXPECT_EQ(verdict.thread, 7);
}

TEST(Hang, is_unknown_where_no_thread_is_in_both_looks) {
  const ThreadsSeen before{1, milliseconds(1), {thread(5, 'S')}};
  const ThreadsSeen now{1, milliseconds(2), {thread(6, 'S')}};
  EXPECT_EQ(judge(before, now).hang, Hang::unknown);
  EXPECT_EQ(in_words(judge(before, now), 1), "");
}

TEST(ThreadLook, tells_who_computes_from_who_waits) {
  std::atomic<pid_t> busy{0};
  std::atomic<bool> ends{false};
  std::thread computes([&] {
    busy = static_cast<pid_t>(::syscall(SYS_gettid));
    while (!ends) {
    }
  });
  while (busy == 0) std::this_thread::yield();
  const auto before = look_at_threads(::getpid());
  ASSERT_TRUE(before) << before.error().to_string();
  // Until it has been given some time, however little there is.
  auto now = look_at_threads(::getpid());
  while (now && cpu_percent(*before, *now, busy) == 0) now = look_at_threads(::getpid());
  ends = true;
  computes.join();
  ASSERT_TRUE(now) << now.error().to_string();
  EXPECT_GE(now->threads.size(), 2U);
  for (const auto& thread : now->threads) {
    EXPECT_TRUE(thread.id != busy || thread.state == 'R') << thread.state;
    EXPECT_FALSE(thread.name.empty());
  }
}

TEST(ThreadLook, says_that_a_process_is_gone) {
  const auto seen = look_at_threads(0x7fffffff);
  ASSERT_FALSE(seen);
  EXPECT_TRUE(seen.error().is(Errc::not_found)) << seen.error().to_string();
}

const ThreadsSeen some_before{1, milliseconds(0), {thread(1, 'S'), thread(2, 'R')}};
const ThreadsSeen some_now{1, milliseconds(100), {thread(1, 'S'), thread(2, 'R', 50)}};

TEST(HangReport, gives_each_thread_its_stack) {
  const std::string stacks =
      R"({"modules":[{"path":"/bin/it","build_id":"ab"}],"left_out":0,
          "threads":[{"tid":2,"frames":[[0,16],[-1,255],[9,1],"x"]},{"tid":77,"frames":[]}]})";
  const auto report = expand_threads(merge_threads(some_before, some_now, stacks, "", 4096));
  ASSERT_EQ(report["threads"].size(), 2U) << report;
  EXPECT_EQ(report["threads"][0]["state"], "sleeping");
  EXPECT_TRUE(report["threads"][0]["frames"].empty());
  const auto& second = report["threads"][1];
  EXPECT_EQ(second["cpu_percent"], 50);
  EXPECT_EQ(second["frames"][0],
            json::parse(R"({"module":"/bin/it","build_id":"ab","offset":16})"));
  EXPECT_EQ(second["frames"][1], json::parse(R"({"address":"0xff"})"));
  EXPECT_EQ(second["frames"][2], json::parse(R"({"address":"0x1"})"));
  EXPECT_EQ(second["frames"][3], json::parse(R"({"address":null})"));
  EXPECT_TRUE(report["threads_problem"].is_null());
}

TEST(HangReport, counts_what_does_not_fit) {
  const auto text = merge_threads(some_before, some_now, "", "no helper", 200);
  const auto report = expand_threads(text);
  EXPECT_EQ(report["threads"].size(), 1U) << text;
  EXPECT_EQ(report["threads_left_out"], 1);
  EXPECT_EQ(report["threads_problem"], "no helper");
}

TEST(HangReport, takes_no_text_for_more_than_it_is) {
  for (const char* text : {"", "{", "[]", "7", R"({"threads":7})", R"({"threads":[7,{"tid":"x"}]})",
                           R"({"error":7})"}) {
    const auto report = expand_threads(merge_threads(some_before, some_now, text, "", 4096));
    EXPECT_EQ(report["threads"].size(), 2U) << text;
    EXPECT_TRUE(expand_threads(text)["threads"].is_array()) << text;
  }
  const auto failed =
      expand_threads(merge_threads(some_before, some_now, R"({"error":"ptrace"})", "", 4096));
  EXPECT_EQ(failed["threads_problem"], "ptrace");
}

}  // namespace
}  // namespace bulkhead::supervisor
