// `bulkhead map` as a script sees it: what it prints, reports and leaves with.
#include <csignal>

#include "tests/support/map_run.hpp"

namespace bulkhead::test {
namespace {

TEST_F(Map, prints_each_output_whole_and_in_the_order_of_the_inputs) {
  // The first one cannot end before the second one has.
  const auto second = directory_.path("second");
  ASSERT_EQ(::mkfifo(second.c_str(), 0600), 0);
  const auto ended = map(script({"--workers", "2"}, R"(
      echo "$0 begins"; echo "$0 warns" >&2
      if [ $0 = 1 ]; then cat )" + second + R"( >/dev/null; else echo go > )" +
                                                        second + R"(; fi; echo "$0 ends")"),
                         "1\n2\n");
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "1 begins\n1 ends\n2 begins\n2 ends\n");
  EXPECT_EQ(ended.err, "1 warns\n2 warns\n");
}

TEST_F(Map, gives_inputs_as_they_are) {
  const std::string inputs = "a b\n\"quoted\" 'too'\n$HOME `id` \\\n\n*\n{}\nünï\n-n";
  const auto ended = map({"--", "printf", "<%s>\\n"}, inputs);
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "<a b>\n<\"quoted\" 'too'>\n<$HOME `id` \\>\n<>\n<*>\n<{}>\n<ünï>\n<-n>\n");
  EXPECT_EQ(map({"--", "printf", "%s|%s|%s\\n", "--in={}", "[a]", "{}"}, "x\n").out,
            "--in=x|[a]|x\n");
  EXPECT_EQ(map({"-0", "--", "printf", "<%s>"}, std::string("a\nb\0c", 5)).out, "<a\nb><c>");
}

TEST_F(Map, does_nothing_for_no_inputs) {
  const auto ended = map({"--", "echo"}, "");
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out + ended.err, "");
}

TEST_F(Map, names_what_failed_and_why_and_does_all_the_others) {
  const auto ended = map(script({"--workers", "1"}, R"(
      case $0 in 2) exit 7;; 4) kill -SEGV $$;; esac; echo $0)"),
                         "1\n2\n3\n4\n5\n");
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.out, "1\n3\n5\n");
  EXPECT_EQ(ended.err,
            "bulkhead: \"2\" failed: exit code 7\nbulkhead: \"4\" failed: SIGSEGV\n"
            "bulkhead: 2 of 5 inputs quarantined: \"2\" (exit code 7), \"4\" (SIGSEGV)\n");
}

TEST_F(Map, tries_again_what_failed_and_prints_the_last_attempt_alone) {
  // Input N succeeds at its Nth attempt.
  const auto ended = map(script({"--retries", "2", "--report", directory_.path("report")}, R"(
      cd )" + directory_.path() + R"(; echo x >> tried.$0; n=$(wc -l < tried.$0)
      echo "$0 attempt $n"; test $n -ge $0)"),
                         "1\n2\n3\n4\n");
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.out, "1 attempt 1\n2 attempt 2\n3 attempt 3\n4 attempt 3\n");
  EXPECT_NE(ended.err.find("\"4\" failed: exit code 1, after 3 attempts\n"), std::string::npos)
      << ended.err;
  const auto report = rows(directory_.path("report"));
  ASSERT_EQ(report.size(), 5U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(report[i]["type"], "input");
    EXPECT_EQ(report[i]["index"], i);
    EXPECT_EQ(report[i]["input"], std::to_string(i + 1));
    EXPECT_EQ(report[i]["attempts"], std::min<std::size_t>(i + 1, 3));
    EXPECT_EQ(report[i]["quarantined"], i == 3);
    EXPECT_EQ(report[i]["exit_code"], i == 3 ? 1 : 0);
    EXPECT_TRUE(report[i]["signal"].is_null());
    EXPECT_GT(report[i]["duration_us"], 0);
  }
  EXPECT_EQ(report[4]["type"], "summary");
  EXPECT_EQ(report[4]["attempts"], 9);
  EXPECT_EQ(report[4]["succeeded"], 3);
  EXPECT_EQ(report[4]["quarantined"].size(), 1U);
}

TEST_F(Map, prints_a_summary_as_json_after_all_else) {
  const auto ended = map(script({"--json"}, "echo $0; kill -KILL $$"), "\xff\n");
  EXPECT_EQ(ended.code, 1);
  ASSERT_EQ(ended.out.rfind("\xff\n", 0), 0U);
  const auto summary = nlohmann::json::parse(ended.out.substr(2));
  EXPECT_EQ(summary["inputs"], 1);
  EXPECT_EQ(summary["succeeded"], 0);
  EXPECT_TRUE(summary["stopped_by"].is_null());
  const auto& row = summary["quarantined"][0];
  EXPECT_EQ(row["cause"], "signal");
  EXPECT_EQ(row["signal"], "SIGKILL");
  EXPECT_TRUE(row["exit_code"].is_null());
  EXPECT_EQ(row["input_hex"], "ff");
}

TEST_F(Map, ends_what_takes_too_long_whether_it_listens_or_not) {
  const auto ended = map(script({"--workers", "4", "--timeout", "200ms", "--grace", "200ms",
                                 "--report", directory_.path("report")},
                                R"(case $0 in
               quick) echo quick;;
               polite) exec sleep 1000;;
               deaf) trap '' TERM; sleep 1000; sleep 1000;;
               stopped) kill -STOP $$;; esac)"),
                         "polite\ndeaf\nstopped\n");
  EXPECT_EQ(ended.code, 1);
  EXPECT_NE(ended.err.find("\"deaf\" failed: took longer than 200ms\n"), std::string::npos)
      << ended.err;
  const auto report = rows(directory_.path("report"));
  ASSERT_EQ(report.size(), 4U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(report[i]["cause"], "timeout") << report[i];
    EXPECT_TRUE(report[i]["exit_code"].is_null());
    EXPECT_TRUE(report[i]["signal"].is_null());
  }
}

TEST_F(Map, goes_on_when_the_program_is_removed_meanwhile) {
  std::filesystem::copy("/bin/sh", directory_.path("tool"));
  const auto tool = directory_.path("tool");
  const auto ended = map({"--workers", "1", "--retries", "1", "--json", "--", tool, "-c",
                          "rm -f " + tool + "; echo $0"},
                         "1\n2\n3\n");
  EXPECT_EQ(ended.code, 1);
  ASSERT_EQ(ended.out.rfind("1\n", 0), 0U) << ended.out;
  const auto quarantined = nlohmann::json::parse(ended.out.substr(2))["quarantined"];
  ASSERT_EQ(quarantined.size(), 2U);
  EXPECT_EQ(quarantined[1]["cause"], "start_failed");
  EXPECT_EQ(quarantined[1]["attempts"], 2);
  EXPECT_EQ(quarantined[1]["reason"], "exec " + tool + ": No such file or directory");
}

TEST_F(Map, quarantines_an_input_that_no_argument_can_be) {
  const auto ended = map({"--retries", "3", "--json", "--", "true"},
                         std::string("a\0b\n", 4) + std::string(3'000'000, 'x') + "\n");
  EXPECT_EQ(ended.code, 1);
  const auto quarantined = nlohmann::json::parse(ended.out)["quarantined"];
  ASSERT_EQ(quarantined.size(), 2U);
  for (const auto& row : quarantined) {
    EXPECT_EQ(row["cause"], "start_failed");
    EXPECT_EQ(row["attempts"], 0);
  }
  EXPECT_LT(ended.err.size(), 2000U) << "a long input is cut short";
}

TEST_F(Map, refuses_wrong_usage_before_it_starts_anything) {
  const auto mark = directory_.path("started");
  const std::vector<std::string> command{"--", "touch", mark};
  const auto refused = [&](std::vector<std::string> words, const std::string& about) {
    const auto ended = map(std::move(words), "1\n");
    EXPECT_EQ(ended.code, 2) << about;
    EXPECT_EQ(ended.out, "");
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_EQ(ended.err.rfind("bulkhead: ", 0), 0U) << ended.err;
    EXPECT_NE(ended.err.find(about), std::string::npos) << ended.err;
  };
  const auto with = [&](std::vector<std::string> options) {
    options.insert(options.end(), command.begin(), command.end());
    return options;
  };
  refused({}, "write it after --");
  refused({"--"}, "write it after --");
  refused({"touch", mark}, "bulkhead map -- touch {}");
  refused({"--", "no-such-program"}, "not found in PATH");
  refused({"--", "{}"}, "env {}");
  refused(with({"--workers", "0"}), "--workers");
  refused(with({"--workers", "-1"}), "--workers");
  refused(with({"--workers", "100000"}), "--workers");
  refused(with({"--retries", "-1"}), "--retries");
  refused(with({"--timeout", "5"}), "\"5ms\"");
  refused(with({"--timeout", "0s"}), "--timeout");
  refused(with({"--timeout", "-5s"}), "--timeout");
  refused(with({"--grace", "soon"}), "--grace");
  refused(with({"--report", ""}), "--report");
  refused(with({"--wrokers", "2"}), "--wrokers");
  EXPECT_FALSE(std::filesystem::exists(mark));
  const auto ended = map(with({"--report", directory_.path("no/such/place")}), "1\n");
  EXPECT_EQ(ended.code, 1);
  EXPECT_NE(ended.err.find("no/such/place: No such file or directory"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(mark));
}

TEST_F(Map, keeps_outputs_of_any_size_without_the_memory_for_them) {
  const auto ended = shell(R"(ulimit -v 200000
      printf '1\n2\n3\n' | map --workers 3 -- sh -c 'head -c 150000000 /dev/zero | tr "\000" $0' |
      tee sum.1 | tr -s 123 | tr -d '\n'; wc -c < sum.1)");
  EXPECT_EQ(ended.out, "123450000000\n") << ended.err;
  EXPECT_EQ(ended.err, "");
}

TEST_F(Map, works_with_few_descriptors_and_says_what_it_lacks) {
  const auto few = shell("ulimit -n 20; printf '1\\n2\\n3\\n' | map -- sh -c 'echo $0; ulimit -n'");
  EXPECT_EQ(few.code, 0) << few.err;
  EXPECT_EQ(few.out, "1\n20\n2\n20\n3\n20\n");
  const auto fewer = shell("ulimit -n 20; echo 1 | map --workers 9 -- echo");
  EXPECT_EQ(fewer.code, 2);
  EXPECT_NE(fewer.err.find("--workers 1 fits"), std::string::npos) << fewer.err;
  // A soft limit is raised for ourselves alone.
  const auto soft = shell("ulimit -Sn 20; echo 1 | map --workers 9 -- sh -c 'ulimit -Sn'");
  EXPECT_EQ(soft.out, "20\n") << soft.err;
}

TEST_F(Map, starts_nothing_far_ahead_of_the_oldest_that_is_not_done) {
  // The first one ends only when the last of the window has begun, and takes its time then.
  const auto window = directory_.path("window");
  ASSERT_EQ(::mkfifo(window.c_str(), 0600), 0);
  std::string inputs;
  for (int i = 1; i <= 1100; ++i) inputs += std::to_string(i) + "\n";
  const auto mark = directory_.path("first-is-over");
  const auto ended = map(script({"--workers", "2"}, R"(
      case $0 in
        1) read go < )" + window + R"(; head -c 100000000 /dev/zero | cksum; touch )" +
                                                        mark + R"(;;
        1024) echo go > )" + window + R"(;;
        1025) test -e )" + mark + R"(;;
      esac)"),
                         inputs);
  EXPECT_EQ(ended.code, 0) << ended.err;
}

TEST_F(Map, that_cannot_write_says_so_and_ends) {
  const auto full = shell("yes | map -- echo > /dev/full");
  EXPECT_EQ(full.code, 1);
  EXPECT_NE(full.err.find("cannot write to standard output: No space left on device"),
            std::string::npos)
      << full.err;
  const auto closed = shell("yes | map -- echo >&-");
  EXPECT_EQ(closed.code, 1);
  EXPECT_NE(closed.err.find("Bad file descriptor"), std::string::npos) << closed.err;
  const auto gone = shell("{ yes | map -- echo; echo $? > code; } | head -1; cat code");
  EXPECT_EQ(gone.out, "y\n1\n");
  EXPECT_NE(gone.err.find("nobody reads the output any more"), std::string::npos) << gone.err;
}

}  // namespace
}  // namespace bulkhead::test
