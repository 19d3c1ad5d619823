// What a leak, a limit of memory and a cut connection do to a worker, and that they do nothing to anybody else.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "cli/chaos_process.hpp"
#include "tests/support/command.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string stream_over(const std::string& transport, const std::string& work = "0ms") {
  return R"({"version": 1, "name": "storm",
    "defaults": {"restart": {"policy": "always", "backoff": {"initial": "0ms"}, "limit": "none"}},
    "workers": {
      "tick": {"command": ["ticker-worker"], "ready": {"type": "notify"}, "config": {"link": "ticks", "rate_hz": 1000, "size": 56}},
      "sink": {"command": ["sink-worker"], "ready": {"type": "notify"}, "config": {"link": "ticks", "work": ")" +
         work + R"("}},
      "plain": {"command": ["sleep", "100000"]}},
    "links": {"ticks": {"type": "channel", "from": "tick", "to": "sink", "capacity": "4KiB", "max_message": "64B", "transport": ")" +
         transport + R"("}}})";
}

json chaos(const RunningSystem& system, const std::string& only, int seed = 1,
           const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{
      BULKHEAD_PROGRAM,     "chaos", "--only", only, "--duration", "2s", "--rate", "5", "--seed",
      std::to_string(seed), "--json"};
  words.insert(words.end(), more.begin(), more.end());
  const auto output =
      run_command(words, {"BULKHEAD_RUNTIME_DIR=" + system.directory().path("run")});
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  const auto found = json::parse(output.out);
  EXPECT_GT(found["faults"][only], 0) << output.out;
  for (const auto& [kind, count] : found["faults"].items()) {
    EXPECT_EQ(count != 0, kind == only) << kind;
  }
  return found;
}

std::size_t count_descriptors(int pid) {
  const fs::directory_iterator all("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// Everything that was sent by now arrives, and nothing is missing.
void await_stream(RunningSystem& system) {
  const std::uint64_t sent = system.link("ticks")["sent"];
  system.await([&](const json& status) { return status["links"][0]["acknowledged"] > sent + 100; },
               "the stream goes on");
  EXPECT_EQ(system.link("ticks")["dropped"], 0);
  const auto sink = system.worker("sink.0");
  EXPECT_NE(sink["status_text"].get<std::string>().find(" gaps=0 torn=0"), std::string::npos)
      << sink["status_text"];
}

TEST(Leak, is_had_until_the_process_ends_and_by_nobody_else) {
  RunningSystem system("storm", stream_over("shm"));
  system.await_all_ready();
  const int pid = system.worker("sink.0")["pid"];
  const auto before = count_descriptors(pid);
  const auto keeper = count_descriptors(system.keeper_pid());
  const std::uint64_t bytes = system.worker("sink.0")["rss_bytes"];
  constexpr std::uint64_t leaked = 32 << 20;
  system.request("leak",
                 {{"name", "sink.0"}, {"pid", pid}, {"bytes", leaked}, {"descriptors", 100}});
  system.await(
      [&](const json& status) {
        // The kernel may take back some of what it had before.
        return row(status, "sink.0")["rss_bytes"] >= bytes + leaked / 4 * 3 &&
               count_descriptors(pid) >= before + 100;
      },
      "the leak");
  await_stream(system);
  EXPECT_EQ(system.worker("sink.0")["pid"], pid) << "it lives with its leak";

  system.request("kill", {{"name", "sink.0"}, {"signal", SIGKILL}});
  const auto reborn = system.await_reborn("sink.0", pid);
  await_stream(system);
  EXPECT_LT(system.worker("sink.0")["rss_bytes"], bytes + leaked / 2);
  EXPECT_LT(count_descriptors(reborn["pid"]), before + 50);
  EXPECT_LT(count_descriptors(system.keeper_pid()), keeper + 50);
}

TEST(Leak, is_refused_for_who_cannot_be_asked_and_for_more_than_is_harmless) {
  RunningSystem system("storm", stream_over("shm"));
  system.await_all_ready();
  const auto refused = [&](const char* name, int pid, std::uint64_t bytes) {
    const json wanted{{"name", name}, {"pid", pid}, {"bytes", bytes}, {"descriptors", 0}};
    const auto answer = system.try_request("leak", wanted);
    return !answer ? answer.error().to_string() : "";
  };
  const int sink = system.worker("sink.0")["pid"], plain = system.worker("plain.0")["pid"];
  EXPECT_NE(refused("plain.0", plain, 1), "") << "it has no runtime";
  EXPECT_NE(refused("sink.0", sink + 1, 1), "") << "another process";
  EXPECT_NE(refused("sink.0", sink, std::uint64_t{1} << 40), "");
  EXPECT_FALSE(system.worker("plain.0")["runtime"]);
  EXPECT_TRUE(system.worker("sink.0")["runtime"]);
}

TEST(Chaos, lets_workers_leak_and_kills_them_for_it) {
  RunningSystem system("storm", stream_over("shm"));
  system.await_all_ready();
  const auto found = chaos(system, "leak");
  EXPECT_TRUE(found["violations"].empty()) << found["violations"].dump(1);
  EXPECT_GT(found["recovery_by_fault"]["leak"]["n"], 0) << found.dump(1);
  EXPECT_TRUE(system.events_of("plain.0", "worker.exited").empty());
  await_stream(system);
}

TEST(Chaos, drives_workers_out_of_memory_which_is_told_as_their_end) {
  RunningSystem system("storm", stream_over("shm"));
  system.await_all_ready();
  const auto found = chaos(system, "oom");
  EXPECT_TRUE(found["violations"].empty()) << found["violations"].dump(1);
  EXPECT_GT(found["recovery"]["oom"]["n"], 0) << found.dump(1);
  EXPECT_EQ(found["recovery"].size(), 1U) << "nobody dies of anything else: " << found.dump(1);
  EXPECT_EQ(found["recovery_by_fault"]["oom"]["n"], found["recovery"]["oom"]["n"]);
  EXPECT_TRUE(system.events_of("plain.0", "worker.exited").empty());
  await_stream(system);
}

// Of a process in state T, as one is that nobody has sent SIGCONT.
bool is_stopped(int pid) {
  const auto stat = base::read_file("/proc/" + std::to_string(pid) + "/stat");
  return stat && stat->find(") T ") != std::string::npos;
}

TEST(Chaos, leaves_nobody_stopped) {
  RunningSystem system("storm", stream_over("shm"));
  system.await_all_ready();
  for (int seed = 1; seed <= 3; ++seed) {
    chaos(system, "slow", seed);
    for (const auto& [name, pid] : pids(system.status())) EXPECT_FALSE(is_stopped(pid)) << name;
  }
  await_stream(system);
}

// The keeper gives it 2 s, and a stop is 500 ms at the most.
TEST(Chaos, stops_the_brain_for_no_longer_than_it_says) {
  RunningSystem system("storm", stream_over("shm"));
  system.await_all_ready();
  const int brain = system.brain_pid();
  for (int seed = 1; seed <= 3; ++seed) chaos(system, "stop", seed, {"--include", "supervisor"});
  EXPECT_EQ(system.brain_pid(), brain);
}

class CutConnection : public testing::TestWithParam<const char*> {};

TEST_P(CutConnection, costs_a_stream_nothing_whichever_it_is) {
  RunningSystem system("storm", stream_over(GetParam()));
  system.await_all_ready();
  const auto before = pids(system.status());
  const auto found = chaos(system, "drop");
  EXPECT_TRUE(found["violations"].empty()) << found["violations"].dump(1);
  await_stream(system);
  EXPECT_EQ(pids(system.status()), before) << "nobody need die of it";
}

INSTANTIATE_TEST_SUITE_P(Over, CutConnection, testing::Values("shm", "unix", "tcp", "pipe"),
                         [](const auto& suite) { return std::string(suite.param); });

// Sockets of the process whose other end is gone.
int count_cut(int pid) {
  const auto process = base::open_pidfd(pid).value();
  int cut = 0;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    const base::UniqueFd copy{static_cast<int>(
        ::syscall(SYS_pidfd_getfd, process.get(), std::stoi(entry.path().filename().string()), 0))};
    pollfd look{copy.get(), POLLRDHUP, 0};
    const bool is_socket = fs::read_symlink(entry.path()).string().starts_with("socket:");
    cut += is_socket && ::poll(&look, 1, 0) > 0 ? 1 : 0;
  }
  return cut;
}

void cut_all(int pid) {
  const cli::PinnedProcess process(pid);
  for (const double choice : {0.0, 0.25, 0.5, 0.75}) {
    ASSERT_TRUE(process.cut_connection(choice));
  }
  ASSERT_GT(count_cut(pid), 0);
}

class WholeAgain : public testing::TestWithParam<const char*> {};

TEST_P(WholeAgain, is_a_connection_that_was_cut_while_both_ends_lived) {
  // The receiver is slower than the sender, who therefore waits for room as well.
  RunningSystem system("storm", stream_over(GetParam(), "2ms"));
  system.await_all_ready();
  await_stream(system);
  const auto before = pids(system.status());
  cut_all(before.at("sink.0"));
  system.await(
      [&](const json&) {
        return count_cut(before.at("sink.0")) == 0 && count_cut(before.at("tick.0")) == 0;
      },
      "another connection");
  EXPECT_GT(system.link("ticks")["reconnects"], 0);
  await_stream(system);
  EXPECT_EQ(pids(system.status()), before);
}

INSTANTIATE_TEST_SUITE_P(Over, WholeAgain, testing::Values("unix", "tcp", "pipe"),
                         [](const auto& suite) { return std::string(suite.param); });

}  // namespace
}  // namespace bulkhead::test
