// A system as the first process of a container: `bulkhead run` as pid 1 of a pid namespace.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>
#include <bulkhead/connection.hpp>

#include <csignal>
#include <filesystem>

#include "base/child_process.hpp"
#include "base/process_tree.hpp"
#include "tests/support/command.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

constexpr auto patience = std::chrono::seconds(30);

// Why there can be no container here; "" when there can.
std::string refusal() {
  for (const char* program : {"/usr/bin/unshare", "/usr/bin/nsenter"}) {
    if (!std::filesystem::exists(program)) return std::string("needs ") + program;
  }
  const auto tried =
      run_command({"/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "/bin/true"});
  return tried.code == 0 ? "" : "no pid namespace here: " + tried.err;
}

base::ChildProcess run_in_container(const std::string& config, const std::string& runtime_dir) {
  base::SpawnPlan plan;
  plan.executable = "/usr/bin/unshare";
  plan.argv = {"unshare",      "--pid",          "--fork", "--mount-proc",
               "--kill-child", BULKHEAD_PROGRAM, "run",    config};
  for (char** entry = environ; *entry != nullptr; ++entry) plan.env.emplace_back(*entry);
  plan.env.push_back("BULKHEAD_RUNTIME_DIR=" + runtime_dir);
  plan.output = plan.errors = -1;
  plan.death_signal = base::DeathSignal{SIGKILL, ::getpid()};
  return {base::spawn(plan).value(), base::ChildProcess::OnDestroy::kill};
}

class Container : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = refusal(); !why.empty()) GTEST_SKIP() << why;
  }

  void start(const json& workers) {
    const auto config = directory.write(
        "config.json", json{{"version", 1}, {"name", "inside"}, {"workers", workers}}.dump());
    unshare.emplace(run_in_container(config, directory.path("run")));
  }
  json status() {
    const auto deadline = Deadline::in(patience);
    while (!connection) {
      auto made = connect(directory.path("run/inside.sock"), Deadline::in(patience));
      if (made)
        connection.emplace(std::move(*made));
      else if (deadline.expired())
        throw std::runtime_error(made.error().to_string());
    }
    return connection->request("status", json::object(), deadline).value();
  }
  template <class Predicate>
  json await(Predicate&& holds) {
    const auto deadline = Deadline::in(patience);
    for (;;) {
      auto now = status();
      if (holds(now)) return now;
      if (deadline.expired()) throw std::runtime_error("gave up: " + now.dump(1));
      (void)connection->follow_events(
          UINT64_MAX, [](const json&) { return false; },
          Deadline::in(std::chrono::milliseconds(20)));
    }
  }
  // The number that pid 1 has outside.
  pid_t first_process() const { return base::children_of(unshare->pid()).value().at(0); }
  std::vector<pid_t> zombies() const {
    std::vector<pid_t> found;
    for (const pid_t pid : base::children_of(first_process()).value()) {
      const auto stat = base::read_file("/proc/" + std::to_string(pid) + "/stat");
      if (stat && stat->find(") Z ") != std::string::npos) found.push_back(pid);
    }
    return found;
  }
  CommandOutput enter(const std::string& command) const {
    return run_command({"/usr/bin/nsenter", "--target", std::to_string(first_process()), "--pid",
                        "--mount", "/bin/sh", "-c", command});
  }
  base::ExitStatus end() { return unshare->wait(Deadline::in(patience)).value(); }

  TemporaryDirectory directory;
  std::optional<base::ChildProcess> unshare;
  std::optional<Connection> connection;
};

const char* const leaves_orphans = "for i in 1 2 3; do (sh -c 'exit 7' &); done; exec sleep 100000";

TEST_F(Container, reaps_orphans_whoever_they_are_and_ends_with_0_on_sigterm) {
  start({{"a", {{"command", {"sh", "-c", leaves_orphans}}, {"runtime", false}}}});
  const auto before =
      await([](const json& now) { return now["supervisor"]["orphans_reaped"] == 3; });
  EXPECT_EQ(before["supervisor"]["keeper_pid"], 1);
  EXPECT_EQ(row(before, "a.0")["state"], "ready");

  // One that no worker of the system made, as `docker exec` leaves behind.
  EXPECT_EQ(enter("(exit 3 &)").code, 0);
  await([](const json& now) { return now["supervisor"]["orphans_reaped"] == 4; });
  EXPECT_EQ(zombies(), std::vector<pid_t>{});

  const auto known = base::children_of(first_process()).value();
  EXPECT_EQ(enter("(sleep 100000 </dev/null >/dev/null 2>&1 &)").code, 0);
  auto all = base::children_of(first_process()).value();
  std::erase_if(
      all, [&](pid_t pid) { return std::find(known.begin(), known.end(), pid) != known.end(); });
  ASSERT_EQ(all.size(), 1U);
  const auto stranger = base::open_pidfd(all[0]).value();
  ASSERT_EQ(::kill(first_process(), SIGTERM), 0);
  EXPECT_EQ(end(), base::ExitStatus(base::Exited{0}));
  pollfd gone{stranger.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&gone, 1, 30'000), 1) << "the stranger lives on";
}

TEST_F(Container, restarts_what_dies_in_it) {
  start({{"a", {{"command", {"sleep", "100000"}}}}});
  const int pid = row(await(all_ready), "a.0")["pid"];
  ASSERT_TRUE(connection->request("kill", {{"name", "a"}}, Deadline::in(patience)));
  const auto after = await([&](const json& now) {
    return row(now, "a.0")["state"] == "ready" && row(now, "a.0")["pid"] != pid;
  });
  EXPECT_EQ(row(after, "a.0")["last_exit"]["signal"], "SIGKILL");
}

TEST_F(Container, ends_as_its_significant_worker_does) {
  start({{"a",
          {{"command", {"sh", "-c", "exit 42"}},
           {"significant", "any_exit"},
           {"restart", {{"policy", "never"}}}}}});
  EXPECT_EQ(end(), base::ExitStatus(base::Exited{42}));
}

}  // namespace
}  // namespace bulkhead::test
