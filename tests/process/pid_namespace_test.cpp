// "contain": "pidns": nothing outlives such a worker, whatever it did to its environment and its session, and nobody
// else notices a difference.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "base/fd.hpp"
#include "base/pid_namespace.hpp"
#include "base/process_tree.hpp"
#include "tests/support/command.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

class PidNamespaces : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto tried = base::try_pid_namespace(); !tried)
      GTEST_SKIP() << tried.error().to_string();
  }
  // A shell command as worker w, contained, and restarted at once.
  static std::string with_shell(const std::string& command) {
    return json{{"version", 1},
                {"name", "ns"},
                {"workers",
                 {{"w",
                   {{"command", {"sh", "-c", command}},
                    {"contain", "pidns"},
                    {"restart", {{"backoff", {{"initial", "0ms"}}}, {"limit", "none"}}}}}}}}
        .dump();
  }
  static bool is_there(int pid) {
    const auto stat = base::read_file("/proc/" + std::to_string(pid) + "/stat");
    return stat && stat->find(") Z ") == std::string::npos &&
           stat->find(") X ") == std::string::npos;
  }
  // Who bears no mark of ours and is told by its argument alone.
  static int process_with_argument(const std::string& argument) {
    for (const int pid : base::find_processes({.cookie = "", .group = 0, .root = 1})) {
      const auto line = base::read_file("/proc/" + std::to_string(pid) + "/cmdline");
      if (line && line->find("sleep" + std::string(1, '\0') + argument) == 0) return pid;
    }
    return 0;
  }
  // It comes up without an event, some time after its worker is ready.
  static int await_detached(const std::string& argument) {
    const auto watchdog = Deadline::in(std::chrono::seconds(30));
    for (;;) {
      if (const int found = process_with_argument(argument); found != 0) return found;
      if (watchdog.expired()) throw std::runtime_error("nobody has detached");
      std::this_thread::yield();
    }
  }
};

constexpr const char* contained_stream = R"({"version": 1, "name": "ns", "workers": {
    "ticker": {"command": ["ticker-worker"], "ready": {"type": "notify"}, "watchdog": {"timeout": "5s"},
               "contain": "pidns", "warm_spares": 1, "restart": {"backoff": {"initial": "0ms"}, "limit": "none"}},
    "sink": {"command": ["sink-worker"], "ready": {"type": "notify"}}},
    "links": {"ticks": {"type": "channel", "from": "ticker", "to": "sink", "transport": "shm"}}})";

// bulkhead-init; 0 when there is none.
int first_process_of(const RunningSystem& system) {
  for (const int pid : system.processes()) {
    const auto name = base::read_file("/proc/" + std::to_string(pid) + "/comm");
    if (name && *name == "bulkhead-init\n") return pid;
  }
  return 0;
}

constexpr const char* detach =
    "if [ ! -e been ]; then touch been; env -i setsid sleep 424242 & fi; exec sleep 1000";

TEST_F(PidNamespaces, take_along_what_gave_up_its_name_and_session) {
  RunningSystem system("ns", with_shell(detach));
  system.await_all_ready();
  const int worker = system.worker("w.0")["pid"];
  const int detached = await_detached("424242");
  ASSERT_NE(detached, worker);
  ::kill(worker, SIGKILL);
  system.await([&](const json&) { return !is_there(detached); }, "the end of what it detached");
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
  system.await_no_process();
  EXPECT_EQ(process_with_argument("424242"), 0);
}

TEST_F(PidNamespaces, end_with_the_keeper) {
  RunningSystem system("ns", with_shell(detach));
  system.await_all_ready();
  const int detached = await_detached("424242");
  ::kill(system.keeper_pid(), SIGKILL);
  system.await_end();
  system.await_no_process();
  while (is_there(detached)) std::this_thread::yield();
}

TEST_F(PidNamespaces, are_kept_and_swept_by_a_successor_of_the_brain) {
  RunningSystem system("ns", with_shell(detach));
  system.await_all_ready();
  const int worker = system.worker("w.0")["pid"];
  const int detached = await_detached("424242");
  system.kill_brain();
  EXPECT_EQ(system.worker("w.0")["pid"], worker);
  ::kill(worker, SIGKILL);
  system.await([&](const json&) { return !is_there(detached); }, "the end of what it detached");
}

// It is no first process of its namespace: those do not die of a signal that they have no handler for.
TEST_F(PidNamespaces, leave_signals_exit_codes_and_numbers_as_they_are) {
  RunningSystem system("ns", with_shell("exec sleep 1000"));
  system.await_all_ready();
  const auto before = system.worker("w.0");
  EXPECT_EQ(base::read_file("/proc/" + before["pid"].dump() + "/comm").value(), "sleep\n");
  ::kill(before["pid"].get<int>(), SIGTERM);
  const auto after = system.await_reborn("w.0", before["pid"]);
  EXPECT_EQ(after["last_exit"]["signal"], "SIGTERM");
  system.request("stop", {{"name", "w"}});
  EXPECT_EQ(system.worker("w.0")["state"], "disabled");
  EXPECT_EQ(system.worker("w.0")["last_exit"]["signal"], "SIGTERM");
}

TEST_F(PidNamespaces, whose_first_process_is_killed_lose_their_worker_and_it_comes_back) {
  RunningSystem system("ns", with_shell("exec sleep 1000"));
  system.await_all_ready();
  const int worker = system.worker("w.0")["pid"];
  const int first = first_process_of(system);
  ASSERT_NE(first, 0);
  ::kill(first, SIGKILL);
  EXPECT_EQ(system.await_reborn("w.0", worker)["state"], "ready");
}

TEST_F(PidNamespaces, of_a_program_that_cannot_be_executed_are_given_up) {
  const TemporaryDirectory directory;
  const auto program = directory.write("program", "#!/nowhere/interpreter\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  RunningSystem system("ns",
                       R"({"version": 1, "name": "ns", "workers": {"w": {"command": [")" + program +
                           R"("], "contain": "pidns"}, "other": {"command": ["sleep", "1000"]}}})");
  system.await([](const json& status) { return row(status, "w.0")["state"] == "failed"; },
               "failure");
  system.await([&](const json&) { return first_process_of(system) == 0; },
               "the end of bulkhead-init");
}

TEST_F(PidNamespaces, are_nobody_left_over_to_chaos) {
  RunningSystem system("ns", contained_stream);
  system.await_all_ready();
  const auto output = run_command({BULKHEAD_PROGRAM, "chaos", "--duration", "2s", "--rate", "10"},
                                  {"BULKHEAD_RUNTIME_DIR=" + system.directory().path("run")});
  EXPECT_EQ(output.code, 0) << output.out << output.err;
}

TEST_F(PidNamespaces, suit_a_worker_of_the_runtime_and_its_links) {
  RunningSystem system("ns", contained_stream);
  system.await_all_ready();
  for (int round = 0; round < 3; ++round) {
    const int ticker = system.worker("ticker.0")["pid"];
    ::kill(ticker, SIGKILL);
    system.await_reborn("ticker.0", ticker);
  }
  const auto text = system.worker("sink.0")["status_text"].get<std::string>();
  EXPECT_NE(text.find("gaps=0"), std::string::npos) << text;
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
  system.await_no_process();
}

}  // namespace
}  // namespace bulkhead::test
