// What is known of a death afterwards: cause, report, log and recovery, whoever else died meanwhile.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/clock.hpp"
#include "tests/support/command.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

std::string one_bad_worker(const std::string& mode, const std::string& more = "") {
  return R"({"version": 1, "name": "bad", "workers": {
    "bad": {"command": ["crash-worker"], "ready": {"type": "notify"}, )" +
         more + R"("restart": {"policy": "never"}, "config": {"mode": ")" + mode +
         R"(", "after": "0ms"}},
    "good": {"command": ["sleep", "100000"]}}})";
}

CommandOutput command(const RunningSystem& system, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), BULKHEAD_PROGRAM);
  return run_command(std::move(arguments),
                     {"BULKHEAD_RUNTIME_DIR=" + system.directory().path("run")});
}

// As `bulkhead incidents --json` tells them.
json incidents(const RunningSystem& system) {
  const auto output = command(system, {"incidents", "--json"});
  EXPECT_EQ(output.code, 0) << output.err;
  return json::parse(output.out);
}

json await_failed(RunningSystem& system) {
  system.await([](const auto& status) { return row(status, "bad.0")["state"] == "failed"; },
               "its death");
  const auto all = incidents(system)["incidents"];
  EXPECT_EQ(all.size(), 1U) << all.dump(1);
  return all.at(0);
}

std::string functions_of(const json& backtrace) {
  std::string functions;
  for (const auto& frame : backtrace) {
    if (frame["function"].is_string()) functions += frame["function"].get<std::string>() + "\n";
  }
  return functions;
}

// The line of the worker's source with this text.
int line_of(const std::string& text) {
  std::ifstream source(BULKHEAD_CONFIGS "/../workers/builtin/crash.cpp");
  std::string line;
  for (int number = 1; std::getline(source, line); ++number) {
    if (line.find(text) != std::string::npos) return number;
  }
  return 0;
}

struct Mode {
  const char* mode;
  const char* cause;
  const char* words;  // a beginning
  const char* function;
  const char* statement;  // in its source
};

class CrashReport : public testing::TestWithParam<Mode> {};

TEST_P(CrashReport, names_the_function_and_the_line) {
  if (sanitized) GTEST_SKIP() << "the sanitizer reports instead";
  const Mode& mode = GetParam();
  RunningSystem system("bad", one_bad_worker(mode.mode));
  const auto incident = await_failed(system);
  EXPECT_EQ(incident["name"], "bad.0");
  EXPECT_EQ(incident["cause"], mode.cause);
  EXPECT_EQ(incident["words"].get<std::string>().rfind(mode.words, 0), 0U) << incident["words"];
  const auto& backtrace = incident["report"]["backtrace"];
  const int line = line_of(mode.statement);
  ASSERT_GT(line, 0);
  bool found = false;
  for (const auto& frame : backtrace) {
    const bool here = frame["line"] == line && frame["file"].is_string() &&
                      frame["file"].get<std::string>().ends_with("workers/builtin/crash.cpp");
    if (!here) continue;
    found = true;
    EXPECT_NE(frame["function"].get<std::string>().find(mode.function), std::string::npos) << frame;
  }
  EXPECT_TRUE(found) << "line " << line << " is not in " << backtrace.dump(1);
  const auto text = command(system, {"incidents"});
  EXPECT_NE(text.out.find(mode.words), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("crash.cpp:" + std::to_string(line)), std::string::npos) << text.out;
}

INSTANTIATE_TEST_SUITE_P(
    Incidents, CrashReport,
    testing::Values(
        Mode{"segv", "SIGSEGV", "SIGSEGV writing 0x0", "segfault", "*nowhere = 1;"},
        Mode{"abort", "SIGABRT", "abort", "abort_now", "std::abort();"},
        Mode{"stack_overflow", "SIGSEGV", "SIGSEGV writing 0x", "deeper", "deeper(depth + 1)"},
        Mode{"throw", "SIGABRT",
             "abort: uncaught std::runtime_error: the crash worker was told to throw", "throw_up",
             "throw std::runtime_error"},
        Mode{"out_of_memory", "oom", "out of memory: abort: uncaught std::bad_alloc",
             "run_out_of_memory", "hoard.emplace_back"},
        Mode{"bad_call", "SIGSEGV", "SIGSEGV executing 0x0", "call_nothing", "answer = nothing();"},
        Mode{"bus", "SIGBUS", "SIGBUS reading 0x", "read_beyond_the_end", "*beyond;"},
        Mode{"divide", "SIGFPE", "SIGFPE: integer division by zero", "divide_by_zero",
             "whole / nothing"},
        Mode{"illegal", "SIGILL", "SIGILL: an instruction that does not exist", "no_instruction",
             "__builtin_trap();"},
        Mode{"lost_stack", "SIGSEGV", "SIGSEGV writing 0x0", "lose_the_stack", "asm volatile"},
        Mode{"thread", "SIGSEGV", "SIGSEGV writing 0x0", "in_a_thread", "*thread_nowhere = 1;"}),
    [](const auto& test) { return std::string(test.param.mode); });

TEST(Incidents, a_stack_overflow_is_called_by_its_name) {
  if (sanitized) GTEST_SKIP() << "the sanitizer reports instead";
  RunningSystem system("bad", one_bad_worker("stack_overflow"));
  const auto incident = await_failed(system);
  EXPECT_NE(incident["words"].get<std::string>().find("(stack overflow)"), std::string::npos)
      << incident["words"];
  EXPECT_EQ(incident["report"]["crash"]["stack_overflow"], true);
}

// The walk over its stack faults; it dies of what it would have died of, with what was written before that.
TEST(Incidents, a_broken_stack_costs_the_callers_only) {
  if (sanitized) GTEST_SKIP() << "the sanitizer reports instead";
  RunningSystem system("bad", one_bad_worker("lost_stack"));
  const auto incident = await_failed(system);
  EXPECT_EQ(incident["exit"]["signal"], "SIGSEGV");
  EXPECT_EQ(incident["report"]["crash"]["registers"]["sp"], "0x40");
  EXPECT_EQ(incident["report"]["backtrace"].size(), 1U) << incident["report"]["backtrace"];
}

TEST(Incidents, of_a_hang_have_the_watchdog_for_a_cause) {
  RunningSystem system("bad", one_bad_worker("hang", R"("watchdog": {"timeout": "200ms"}, )"));
  const auto incident = await_failed(system);
  EXPECT_EQ(incident["cause"], "watchdog");
  EXPECT_EQ(incident["exit"]["kind"], "watchdog");
  EXPECT_EQ(incident["hang"]["verdict"], "blocked");
  EXPECT_EQ(incident["hang"]["thread"], incident["pid"]);
}

// Where each thread was, and which of them is to blame.
TEST(Incidents, of_a_hang_show_the_stacks_of_all_threads) {
  if (sanitized) GTEST_SKIP() << "sanitizers change what stands on stacks";
  RunningSystem system("bad",
                       one_bad_worker("spin_thread", R"("watchdog": {"timeout": "200ms"}, )"));
  const auto incident = await_failed(system);
  EXPECT_EQ(incident["hang"]["verdict"], "spinning") << incident.dump(1);
  const auto& report = incident["report"];
  ASSERT_EQ(report["threads"].size(), 2U) << incident.dump(1);
  EXPECT_TRUE(report["threads_problem"].is_null()) << report["threads_problem"];
  for (const auto& thread : report["threads"]) {
    const bool is_main = thread["tid"] == incident["pid"];
    const auto functions = functions_of(thread["backtrace"]);
    EXPECT_NE(functions.find(is_main ? "spin_in_a_thread" : "spin_for_ever"), std::string::npos)
        << functions;
    EXPECT_EQ(thread["tid"] == incident["hang"]["thread"], !is_main);
  }
  EXPECT_NE(functions_of(report["backtrace"]).find("spin_for_ever"), std::string::npos);
  const auto text = command(system, {"incidents"}).out;
  EXPECT_NE(text.find("% of a processor"), std::string::npos) << text;
  EXPECT_NE(text.find("spin_for_ever"), std::string::npos) << text;
}

TEST(Incidents, of_one_whom_a_signal_stopped_say_so) {
  RunningSystem system("bad", one_bad_worker("spin", R"("watchdog": {"timeout": "2s"}, )"));
  const int pid =
      row(system.await([](const auto& status) { return row(status, "bad.0")["state"] == "ready"; },
                       "it is ready"),
          "bad.0")["pid"];
  // Not before it is at work: who waits is never overdue.
  while (system.worker("bad.0")["cpu_percent"] == 0) {
  }
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  const auto incident = await_failed(system);
  EXPECT_EQ(incident["hang"]["verdict"], "stopped") << incident.dump(1);
  EXPECT_EQ(incident["words"],
            "killed by the watchdog: it did not beat in time; it was stopped by a signal");
}

// A file that a crashed worker has named may be anything by now.
TEST(Incidents, files_that_are_no_programs_get_an_error_each) {
  TemporaryDirectory place;
  const auto built = std::filesystem::path(BULKHEAD_PROGRAM).parent_path();
  const auto symboliser = (built / "bulkhead-symboliser").string();
  std::ifstream whole(built / "crash-worker", std::ios::binary);
  std::string program{std::istreambuf_iterator<char>(whole), {}};
  std::vector<std::string> paths{place.path("nothing"),
                                 place.path(""),
                                 "/dev/zero",
                                 place.write("text", "no program\n"),
                                 place.write("empty", ""),
                                 place.write("cut", program.substr(0, 4096))};
  std::fill(program.begin() + 4096, program.end(), '\xA5');
  paths.push_back(place.write("scribbled", program));
  paths.push_back(place.path("fifo"));
  ASSERT_EQ(::mkfifo(paths.back().c_str(), 0600), 0);
  json question{{"modules", json::array()}};
  for (const auto& path : paths) {
    question["modules"].push_back(
        {{"path", path}, {"build_id", "00"}, {"offsets", {0, 4096, UINT64_MAX}}});
  }
  const auto asked = place.write("question", question.dump());
  const auto output = run_command({"/bin/sh", "-c", "exec " + symboliser + " < " + asked});
  ASSERT_EQ(output.code, 0) << output.err;
  const auto answer = json::parse(output.out);
  ASSERT_EQ(answer["modules"].size(), paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    EXPECT_TRUE(answer["modules"][i].contains("error")) << paths[i] << answer["modules"][i];
  }
}

TEST(Incidents, an_exit_has_a_code_and_no_backtrace) {
  RunningSystem system("bad", one_bad_worker("exit"));
  const auto incident = await_failed(system);
  EXPECT_EQ(incident["cause"], "exit 3");
  EXPECT_EQ(incident["report"]["backtrace"], json::array());
  EXPECT_EQ(incident["detected_us"], nullptr);
}

TEST(Incidents, a_forked_child_that_crashes_writes_no_report_of_its_parent) {
  RunningSystem system("bad", one_bad_worker("child_segv"));
  const auto incident = await_failed(system);
  EXPECT_EQ(incident["cause"], "exit 3");
  EXPECT_EQ(incident["report"]["crash"], nullptr);
}

constexpr const char* recovering = R"({"version": 1, "name": "two", "workers": {
    "echo": {"command": ["echo-worker"], "ready": {"type": "notify"}, "provides": ["echo"],
             "restart": {"backoff": {"initial": "0ms"}, "limit": "none"}},
    "say": {"command": ["sh", "-c", "for i in $(seq 100); do echo line $i; done; exec sleep 100000"],
            "restart": {"backoff": {"initial": "0ms"}, "limit": "none"}}}})";

TEST(Incidents, a_kill_by_command_is_timed_from_before_the_signal) {
  RunningSystem system("two", recovering);
  system.await_all_ready();
  const int pid = system.worker("echo.0")["pid"];
  const auto killed = command(system, {"kill", "echo.0"});
  ASSERT_EQ(killed.code, 0) << killed.err;
  system.await_reborn("echo.0", pid);
  const auto answer = incidents(system);
  ASSERT_EQ(answer["incidents"].size(), 1U) << answer.dump(1);
  const auto& incident = answer["incidents"][0];
  EXPECT_EQ(incident["cause"], "SIGKILL");
  EXPECT_EQ(incident["state"], "closed");
  ASSERT_TRUE(incident["detected_us"].is_number()) << incident;
  EXPECT_GT(incident["detected_us"].get<double>(), 0);
  EXPECT_GT(incident["spawned_us"].get<double>(), incident["detected_us"].get<double>());
  EXPECT_GT(incident["ready_us"].get<double>(), incident["spawned_us"].get<double>());
  const std::string words = incident["words"];
  EXPECT_EQ(words.rfind("killed by SIGKILL from pid ", 0), 0U) << words;
  EXPECT_TRUE(words.ends_with("(bulkhead kill)")) << words;
  EXPECT_EQ(answer["recovery"]["SIGKILL"]["n"], 1);
  EXPECT_EQ(answer["recovery"]["SIGKILL"]["ready_p50_us"], incident["ready_us"]);
  const auto closed = system.events_of("echo.0", "incident.closed");
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0]["incident"], incident["number"]);
  EXPECT_EQ(closed[0]["cause"], "SIGKILL");
}

TEST(Incidents, survive_every_brain) {
  RunningSystem system("two", recovering);
  system.await_all_ready();
  for (int round = 0; round < 10; ++round) {
    const int pid = system.worker("echo.0")["pid"];
    const int brain = system.brain_pid();
    if (round % 2 == 0) system.kill_brain();
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    if (round % 2 != 0) system.kill_brain();
    system.await([&](const auto& status) { return status["supervisor"]["brain_pid"] != brain; },
                 "a new brain");
    system.await_reborn("echo.0", pid);
  }
  const auto all = incidents(system)["incidents"];
  ASSERT_EQ(all.size(), 10U) << all.dump(1);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i]["number"], i + 1);
    // A brain that was killed in the middle of a start uses up a generation.
    EXPECT_GE(all[i]["generation"], i + 1);
    if (i > 0) {
      EXPECT_GT(all[i]["generation"], all[i - 1]["generation"]);
    }
    EXPECT_EQ(all[i]["state"], "closed") << all[i];
    EXPECT_EQ(all[i]["detected_us"], nullptr);
  }
}

TEST(Incidents, a_stop_that_was_asked_for_is_none) {
  RunningSystem system("two", recovering);
  system.await_all_ready();
  for (const char* method : {"restart", "stop", "start"})
    system.request(method, {{"name", "echo"}});
  EXPECT_EQ(incidents(system)["incidents"], json::array());
}

TEST(Incidents, of_a_plain_program_have_signal_and_last_lines) {
  RunningSystem system("two", recovering);
  system.await_all_ready();
  const auto log = system.directory().path("run/two/logs/say.0.log");
  system.await(
      [&](const auto&) {
        std::ifstream file(log);
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        return text.find("line 100\n") != std::string::npos;
      },
      "its output");
  const int pid = system.worker("say.0")["pid"];
  ASSERT_EQ(::kill(pid, SIGUSR1), 0);
  system.await_reborn("say.0", pid);
  json lines;
  system.await(
      [&](const auto&) {
        const auto page = system.request("incidents");
        lines = page["incidents"].at(0)["report"]["last_logs"];
        return !lines.empty();
      },
      "the logger's answer");
  const auto incident = incidents(system)["incidents"][0];
  EXPECT_EQ(incident["cause"], "SIGUSR1");
  EXPECT_EQ(incident["words"], "killed by SIGUSR1");
  EXPECT_EQ(incident["report"]["backtrace"], json::array());
  ASSERT_EQ(lines.size(), 50U) << lines;
}

TEST(Incidents, a_program_that_was_replaced_is_said_to_be_and_gets_no_lines) {
  if (sanitized) GTEST_SKIP() << "the sanitizer reports instead";
  TemporaryDirectory place;
  const auto built = std::filesystem::path(BULKHEAD_PROGRAM).parent_path();
  const std::string program = place.path("worker");
  std::filesystem::copy_file(built / "crash-worker", program);
  std::string config = one_bad_worker("segv");
  config.replace(config.find("crash-worker"), std::string("crash-worker").size(), program);
  RunningSystem system("bad", config);
  system.await([](const auto& status) { return row(status, "bad.0")["state"] == "failed"; },
               "its death");
  std::filesystem::remove(program);
  std::filesystem::copy_file(built / "echo-worker", program);
  const auto incident = incidents(system)["incidents"].at(0);
  const auto& frame = incident["report"]["backtrace"].at(0);
  EXPECT_EQ(frame["function"], nullptr);
  EXPECT_EQ(frame["line"], nullptr);
  EXPECT_NE(frame["problem"].get<std::string>().find("was replaced since the crash"),
            std::string::npos)
      << frame;
}

TEST(Incidents, why_tells_the_state_the_last_death_and_what_comes) {
  RunningSystem system("bad", one_bad_worker("exit"));
  await_failed(system);
  const auto failed = command(system, {"why", "bad"});
  ASSERT_EQ(failed.code, 0) << failed.err;
  EXPECT_NE(failed.out.find("bad.0 is failed: "), std::string::npos) << failed.out;
  EXPECT_NE(failed.out.find("exited with code 3"), std::string::npos) << failed.out;
  EXPECT_NE(failed.out.find("Nothing happens until `bulkhead start`."), std::string::npos)
      << failed.out;
  const auto ready = command(system, {"why", "good.0"});
  EXPECT_NE(ready.out.find("good.0 is ready: "), std::string::npos) << ready.out;
  EXPECT_NE(ready.out.find("When it dies, it starts again at once."), std::string::npos)
      << ready.out;
  const auto wrong = command(system, {"why", "nobody"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_NE(wrong.err.find("bad, good"), std::string::npos) << wrong.err;
}

}  // namespace
}  // namespace bulkhead::test
