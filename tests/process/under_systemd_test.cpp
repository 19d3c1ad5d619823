// A system under a service manager that speaks sd_notify(3), played by the test; and the unit file for the real one.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/command.hpp"
#include "tests/support/plain_role.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

// Listens at an abstract address, which stands in our environment for as long as it lives.
class Listener {
 public:
  explicit Listener(const std::string& place) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, place.data(), place.size());
    if (place[0] == '@') name.sun_path[0] = '\0';
    const int on = 1;
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + place.size());
    if (::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
      throw std::runtime_error("cannot listen at " + place);
    }
    ::setenv("NOTIFY_SOCKET", place.c_str(), 1);
    ::setenv("WATCHDOG_USEC", "1000000000", 1);
    ::setenv("WATCHDOG_PID", "1", 1);
  }
  ~Listener() {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }

  // The next message that contains this; others are passed over. Its sender is kept.
  std::string await(const std::string& words) {
    std::string others;
    for (;;) {
      pollfd waiting{socket_.get(), POLLIN, 0};
      if (::poll(&waiting, 1, 30'000) != 1)
        throw std::runtime_error("not said: " + words + "; only:" + others);
      char bytes[1000];
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
      iovec into{bytes, sizeof bytes};
      msghdr message{};
      message.msg_iov = &into;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t n = ::recvmsg(socket_.get(), &message, 0);
      const std::string text(bytes, n > 0 ? static_cast<std::size_t>(n) : 0);
      ucred from{};
      std::memcpy(&from, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof from);
      sender = from.pid;
      if (text.find(words) != std::string::npos) return text;
      others += " [" + text + "]";
    }
  }

  int sender = 0;

 private:
  base::UniqueFd socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

std::string own_place() { return "@bulkhead-test/" + std::to_string(::getpid()); }

TEST(ServiceManager, hears_from_the_main_process_that_the_system_is_ready_and_that_it_stops) {
  Listener manager(own_place());
  PlainRole role;
  RunningSystem system(
      "managed",
      json{{"version", 1},
           {"name", "managed"},
           {"workers",
            {{"a",
              {{"command", role.command()}, {"runtime", false}, {"ready", {{"type", "notify"}}}}},
             {"b", {{"command", {"sleep", "100000"}}}}}}}
          .dump());
  role.await_up();
  EXPECT_EQ(manager.await("STATUS=1 of 2 ready"), "STATUS=1 of 2 ready");
  EXPECT_EQ(manager.sender, system.keeper_pid());
  role.tell("say READY=1");
  EXPECT_EQ(manager.await("READY=1"), "READY=1\nSTATUS=2 of 2 ready");
  system.kill_brain();
  EXPECT_EQ(manager.await("READY=1"), "READY=1\nSTATUS=2 of 2 ready") << "of the next brain";
  system.request("stop", {{"name", "b"}});
  manager.await("STATUS=1 of 2 ready, 1 stopped by hand");
  ASSERT_EQ(::kill(system.keeper_pid(), SIGTERM), 0);
  EXPECT_EQ(manager.await("STOPPING=1"), "STOPPING=1\nSTATUS=stopping, 1 left");
  EXPECT_EQ(manager.sender, system.keeper_pid());
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
}

TEST(ServiceManager, is_spoken_to_by_nobody_else) {
  TemporaryDirectory directory;
  Listener manager(directory.path("notify"));
  PlainRole role;
  RunningSystem system("managed", json{{"version", 1},
                                       {"name", "managed"},
                                       {"workers",
                                        {{"a", {{"command", role.command()}, {"runtime", false}}},
                                         {"b", {{"command", {"sleep", "100000"}}}}}}}
                                      .dump());
  role.await_up();
  manager.await("READY=1");
  for (const int pid : system.processes()) {
    if (pid == system.keeper_pid()) continue;  // what it was started with shows for ever
    const auto environment = base::read_file("/proc/" + std::to_string(pid) + "/environ");
    ASSERT_TRUE(environment);
    EXPECT_EQ(environment->find(directory.path("notify")), std::string::npos) << pid;
    EXPECT_EQ(environment->find("WATCHDOG_"), std::string::npos) << pid;
  }
  EXPECT_TRUE(role.ask("variable NOTIFY_SOCKET").starts_with("=@bulkhead/a.0/"));
}

TEST(ServiceManager, whose_address_is_of_an_unknown_kind_ends_the_start) {
  TemporaryDirectory directory;
  const auto config = directory.write(
      "config.json",
      R"({"version": 1, "name": "managed", "workers": {"a": {"command": ["true"]}}})");
  const auto run =
      run_command({BULKHEAD_PROGRAM, "run", config},
                  {"BULKHEAD_RUNTIME_DIR=" + directory.path("run"), "NOTIFY_SOCKET=vsock:2:1234"});
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find("NOTIFY_SOCKET=vsock:2:1234 is no unix socket"), std::string::npos)
      << run.err;
  EXPECT_FALSE(std::filesystem::exists(directory.path("run/managed.sock")));
  EXPECT_FALSE(std::filesystem::exists(directory.path("run/managed.lock")));
}

// Of the unit that we ship, with the program in the place where it was built.
TEST(ServiceManager, has_nothing_to_say_against_the_unit_file) {
  const char* const verify = "/usr/bin/systemd-analyze";
  if (!std::filesystem::exists(verify)) GTEST_SKIP() << "needs systemd-analyze";
  std::ostringstream unit;
  unit << std::ifstream(BULKHEAD_SOURCE_DIR "/configs/systemd/bulkhead@.service").rdbuf();
  std::string text = unit.str();
  const std::string installed = "/usr/local/bin/bulkhead";
  ASSERT_NE(text.find("ExecStart=" + installed), std::string::npos);
  for (auto at = text.find(installed); at != text.npos; at = text.find(installed)) {
    text.replace(at, installed.size(), BULKHEAD_PROGRAM);
  }
  TemporaryDirectory directory;
  const auto good = directory.write("bulkhead@demo.service", text);
  const auto verified = run_command({verify, "verify", "--recursive-errors=no", good});
  EXPECT_EQ(verified.code, 0) << verified.err;
  EXPECT_EQ(verified.err, "");
  const auto bad = directory.write("bulkhead@bad.service", text + "\n[Service]\nKillMode=gently\n");
  EXPECT_NE(run_command({verify, "verify", "--recursive-errors=no", bad}).code, 0);
}

}  // namespace
}  // namespace bulkhead::test
