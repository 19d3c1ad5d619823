// What there is not enough of: places at the control socket, descriptors, and time to wait for a system that ends.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <bulkhead/connection.hpp>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/fd.hpp"
#include "tests/support/command.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

constexpr const char* echo = R"({"version": 1, "name": "scarce", "workers": {
  "echo": {"command": ["echo-worker"], "provides": ["echo"],
            "restart": {"backoff": {"initial": "0ms"}, "limit": "none"}}}})";

std::string control_path(const RunningSystem& system) {
  return system.directory().path("run/scarce.sock");
}

base::UniqueFd silent_client(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  base::UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
  return socket;
}

TEST(Scarce, places_at_the_control_socket_go_to_who_says_hello) {
  RunningSystem system("scarce", echo);
  system.await_all_ready();
  std::vector<base::UniqueFd> silent;
  for (int i = 0; i < 300; ++i) silent.push_back(silent_client(control_path(system)));
  auto operator_of_it = connect(control_path(system));
  ASSERT_TRUE(operator_of_it) << operator_of_it.error().to_string();
  EXPECT_TRUE(
      operator_of_it->request("status", json::object(), Deadline::in(std::chrono::seconds(30))));
}

// Its command would say that the system is up.
TEST(Scarce, who_waits_for_a_system_that_ends_is_told_so) {
  RunningSystem system("scarce", R"({"version": 1, "name": "scarce", "workers": {
    "never": {"command": ["sleep", "100000"], "ready": {"type": "notify", "timeout": "1h"}, "runtime": false}}})");
  EXPECT_EQ(system.worker("never.0")["state"], "starting");
  auto waiting = connect(control_path(system)).value();
  std::optional<Result<json>> settled;
  std::thread waiter([&] {
    settled =
        waiting.request("wait_settled", json::object(), Deadline::in(std::chrono::seconds(30)));
  });
  system.request("shutdown");
  waiter.join();
  EXPECT_FALSE(*settled) << (*settled)->dump();
}

// Whatever it is that the brain finds none for: the worker is no worse for it once there are some again.
TEST(Scarce, descriptors_of_the_brain_end_no_worker_for_good) {
  RunningSystem system("scarce", echo);
  system.await_all_ready();
  for (rlim_t left = 0; left < 16; ++left) {
    const int brain = system.brain_pid(), worker = system.worker("echo.0")["pid"];
    const auto all = std::filesystem::directory_iterator("/proc/" + std::to_string(brain) + "/fd");
    const auto in_use = static_cast<rlim_t>(std::distance(begin(all), end(all)));
    rlimit before{};
    ASSERT_EQ(::prlimit(brain, RLIMIT_NOFILE, nullptr, &before), 0);
    const rlimit scarce{in_use + left, before.rlim_max};
    ASSERT_EQ(::prlimit(brain, RLIMIT_NOFILE, &scarce, nullptr), 0);
    ::kill(worker, SIGKILL);
    system.await(
        [&](const json& status) {
          const auto now = row(status, "echo.0");
          const bool lives = now["pid"].is_number();
          return now["pid"] != worker && (lives || now["last_exit"]["kind"] == "exec_failed");
        },
        "another start");
    ASSERT_EQ(::prlimit(brain, RLIMIT_NOFILE, &before, nullptr), 0);
    EXPECT_EQ(system.await_reborn("echo.0", worker)["state"], "ready") << left;
  }
}

TEST(Scarce, places_in_tmp_are_given_back_by_bench_recovery) {
  const TemporaryDirectory directory;
  const auto output = run_command({BULKHEAD_PROGRAM, "bench", "recovery", "--kills", "3"},
                                  {"TMPDIR=" + directory.path(".")});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_TRUE(std::filesystem::is_empty(directory.path(".")));
}

}  // namespace
}  // namespace bulkhead::test
