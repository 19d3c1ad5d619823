// Splitter and crunchers on real files, while they are killed; and the ways of the crash worker to end.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/stage.hpp"

namespace bulkhead::test {
namespace {

using base::Exited;
using base::ExitStatus;
using base::Signaled;

class WorkerJobs : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/bulkhead-jobs-XXXXXX";
    directory = ::mkdtemp(pattern);
    for (int file = 0; file < 40; ++file) {
      const auto folder = directory / ("folder" + std::to_string(file % 4));
      std::filesystem::create_directories(folder);
      std::ofstream out(folder / ("file" + std::to_string(file)));
      for (int line = 0; line < 2000; ++line) {
        out << "int value_" << line % 97 << " = compute(" << line * file << ", 0x1F); // äö "
            << file << "\n";
      }
    }
    std::ofstream(directory / "empty").close();
    std::filesystem::create_symlink(directory / "nowhere", directory / "dangling");
    stage.queue("jobs", 3, "splitter.0", {"cruncher.0", "cruncher.1", "cruncher.2"});
  }
  void TearDown() override { std::filesystem::remove_all(directory); }

  void start_crunchers() {
    for (int i = 0; i < 3; ++i) {
      stage.start({"cruncher." + std::to_string(i),
                   {program("cruncher-worker")},
                   {{"link", "jobs"}},
                   {},
                   {}});
    }
  }
  Actor& start_splitter() {
    return stage.start(
        {"splitter.0",
         {program("splitter-worker")},
         {{"link", "jobs"}, {"directory", directory.string()}, {"job_bytes", "1KiB"}},
         {},
         {}});
  }
  void expect_success(Actor& splitter) {
    EXPECT_EQ(stage.end("splitter.0"), ExitStatus(Exited{0})) << splitter.printed;
    EXPECT_TRUE(splitter.prints("check: ok")) << splitter.printed;
    EXPECT_TRUE(splitter.prints("files=41")) << splitter.printed;
    EXPECT_TRUE(splitter.prints("lines=80000")) << splitter.printed;
    EXPECT_TRUE(splitter.prints("compute=80000")) << splitter.printed;
  }

  std::filesystem::path directory;
  Stage stage;
};

TEST_F(WorkerJobs, add_up_to_the_splitters_own_count) {
  start_crunchers();
  expect_success(start_splitter());
}

TEST_F(WorkerJobs, add_up_all_the_same_when_crunchers_are_killed_in_mid_run) {
  auto& splitter = start_splitter();
  start_crunchers();
  for (const int tenth : {1, 3, 5}) {
    ASSERT_TRUE(stage.until([&] {
      if (splitter.status.find("check") != std::string::npos) return true;  // too fast for us
      const auto at = splitter.status.find("jobs=");
      if (at == std::string::npos) return false;
      const auto done = std::stoul(splitter.status.substr(at + 5));
      const auto all = std::stoul(splitter.status.substr(splitter.status.find('/') + 1));
      return done * 10 >= all * static_cast<unsigned long>(tenth);
    }));
    const auto victim = "cruncher." + std::to_string(tenth % 3);
    stage.kill(victim);
    stage.restart(victim);
  }
  expect_success(splitter);
}

TEST_F(WorkerJobs, are_begun_anew_by_the_successor_of_a_splitter) {
  auto* splitter = &start_splitter();
  start_crunchers();
  ASSERT_TRUE(stage.until([&] { return splitter->status.find("jobs=") != std::string::npos; }));
  stage.kill("splitter.0");
  splitter = &stage.restart("splitter.0");
  expect_success(*splitter);
}

TEST_F(WorkerJobs, name_what_cannot_be_read) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  const auto secret = directory / "secret";
  std::ofstream(secret) << "hidden";
  std::filesystem::permissions(secret, std::filesystem::perms::none);
  start_crunchers();
  auto& splitter = start_splitter();
  expect_success(splitter);
  EXPECT_TRUE(splitter.prints("unreadable: 1\n  " + secret.string())) << splitter.printed;
}

Cast crash(const std::string& mode) {
  return {"crash.0", {program("crash-worker")}, {{"mode", mode}, {"after", "0ms"}}, {}, {}};
}

// What a mode ends in; nothing for those that end only when they are killed.
struct Ending {
  const char* mode;
  ExitStatus status;
  const char* prints = "";
};
class CrashWorker : public testing::TestWithParam<Ending> {};

TEST_P(CrashWorker, ends_as_its_mode_says) {
#ifdef __SANITIZE_ADDRESS__
  const std::string mode = GetParam().mode;
  if (mode == "segv" || mode == "stack_overflow" || mode == "out_of_memory") {
    GTEST_SKIP() << "the sanitizer has its own way with it";
  }
#endif
  Stage stage;
  auto& worker = stage.start(crash(GetParam().mode));
  auto status = stage.end("crash.0");
  if (auto* const signaled = std::get_if<Signaled>(&status)) signaled->core = false;
  EXPECT_EQ(status, GetParam().status) << worker.printed;
  EXPECT_TRUE(worker.prints(GetParam().prints)) << worker.printed;
}

Signaled by(int signal) { return {signal, false}; }
INSTANTIATE_TEST_SUITE_P(
    Modes, CrashWorker,
    testing::Values(Ending{"segv", by(SIGSEGV)}, Ending{"abort", by(SIGABRT)},
                    Ending{"exit", Exited{3}}, Ending{"stack_overflow", by(SIGSEGV)},
                    Ending{"throw", by(SIGABRT),
                           "uncaught exception std::runtime_error: the crash worker was told"},
                    Ending{"out_of_memory", by(SIGABRT), "uncaught exception std::bad_alloc"}),
    [](const auto& each) { return std::string(each.param.mode); });

TEST(CrashWorker, goes_on_after_sigterm_and_stop_when_it_ignores_them) {
  Stage stage;
  auto& worker = stage.start(crash("ignore_sigterm"));
  ASSERT_TRUE(stage.until([&] { return worker.status == "ignore_sigterm"; }));
  ASSERT_TRUE(stage.until([&] {  // the handler is replaced after the status is told
    std::ifstream status("/proc/" + std::to_string(worker.process->pid()) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("SigIgn:"))
        return (std::stoull(line.substr(7), nullptr, 16) >> 14 & 1) == 1;
    }
    return false;
  }));
  stage.stop("crash.0");
  ASSERT_TRUE(worker.process->send_signal(SIGTERM));
  const auto beat = worker.beat_page().beat.load();
  EXPECT_TRUE(stage.until([&] { return worker.beat_page().beat.load() > beat + 2; }));
  EXPECT_EQ(stage.kill("crash.0"), ExitStatus(by(SIGKILL)));
}

TEST(CrashWorker, floods_stdout_and_is_stopped_all_the_same) {
  Stage stage;
  auto& worker = stage.start(crash("flood_stdout"));
  ASSERT_TRUE(stage.until([&] { return worker.printed.size() > (std::size_t{1} << 20); }));
  stage.stop("crash.0");
  EXPECT_EQ(stage.end("crash.0"), ExitStatus(Exited{0}));
}

TEST(CrashWorker, refuses_a_mode_that_there_is_not) {
  Stage stage;
  auto& worker = stage.start(crash("explode"));
  EXPECT_EQ(stage.end("crash.0"), ExitStatus(Exited{78}));
  EXPECT_TRUE(worker.prints("not one of abort bad_call")) << worker.printed;
}

}  // namespace
}  // namespace bulkhead::test
