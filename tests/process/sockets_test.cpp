// Sockets that outlive workers and brain: clients that come while nobody is there wait, and are served.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "base/fd.hpp"
#include "tests/support/command.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

// Answers each connection with its environment and pid; the shell of a system has no accept().
constexpr const char* server = R"py(
import os, socket
fds = int(os.environ["LISTEN_FDS"])
listener = socket.socket(fileno=3)
while True:
    connection, _ = listener.accept()
    connection.sendall(" ".join([str(os.getpid()), os.environ["LISTEN_PID"], str(fds),
                                 os.environ["LISTEN_FDNAMES"]]).encode())
    connection.close()
)py";

bool has_python() { return std::filesystem::exists("/usr/bin/python3"); }

std::string config_with(const std::string& sockets, const std::string& names,
                        const std::string& more = "") {
  return json{{"version", 1},
              {"name", "held"},
              {"defaults", {{"restart", {{"backoff", {{"initial", "0ms"}}}, {"limit", "none"}}}}},
              {"sockets", json::parse(sockets)},
              {"workers",
               {{"server",
                 {{"command", {"/usr/bin/python3", "-c", server}},
                  {"env", {{"MORE", more}}},
                  {"sockets", json::parse(names)}}}}}}
      .dump();
}

std::string address_of(const json& status, const std::string& name) {
  for (const auto& socket : status["sockets"]) {
    if (socket["name"] == name) return socket["address"];
  }
  return "no socket " + name;
}

base::UniqueFd dial(const std::string& address) {
  if (address.starts_with("unix:")) {
    base::UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, address.c_str() + 5, sizeof to.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0) << address;
    return fd;
  }
  base::UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port =
      htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0) << address;
  return fd;
}

// Until the server closes.
std::string read_all(const base::UniqueFd& fd) {
  std::string text;
  char chunk[256];
  for (ssize_t n = 0; (n = ::read(fd.get(), chunk, sizeof chunk)) > 0;) {
    text.append(chunk, static_cast<std::size_t>(n));
  }
  return text;
}

TEST(Sockets, a_client_that_comes_while_the_worker_is_dead_is_served_by_its_successor) {
  if (!has_python()) GTEST_SKIP() << "needs /usr/bin/python3";
  RunningSystem system("held",
                       config_with(R"({"api": {"listen": "tcp:127.0.0.1:0"}})", R"(["api"])"));
  system.await_all_ready();
  const std::string address = address_of(system.status(), "api");
  ASSERT_TRUE(address.starts_with("tcp:127.0.0.1:")) << address;
  EXPECT_FALSE(address.ends_with(":0"));
  const int pid = system.worker("server.0")["pid"];
  EXPECT_EQ(read_all(dial(address)), std::to_string(pid) + " " + std::to_string(pid) + " 1 api");

  system.request("stop", {{"name", "server"}});
  const auto client = dial(address);  // nobody is there
  system.kill_brain();
  system.request("start", {{"name", "server"}});
  const std::string answer = read_all(client);
  EXPECT_EQ(answer.substr(0, answer.find(' ')),
            std::to_string(system.worker("server.0")["pid"].get<int>()));
  EXPECT_EQ(address_of(system.status(), "api"), address);
}

TEST(Sockets, come_before_the_control_socket_of_a_worker_of_the_runtime) {
  RunningSystem system(
      "held",
      json{{"version", 1},
           {"name", "held"},
           {"sockets",
            {{"one", {{"listen", "tcp:127.0.0.1:0"}}}, {"two", {{"listen", "tcp:127.0.0.1:0"}}}}},
           {"workers",
            {{"echo",
              {{"command", {"echo-worker"}},
               {"ready", {{"type", "notify"}}},
               {"provides", {"echo"}},
               {"sockets", {"two", "one"}}}}}}}
          .dump());
  system.await_all_ready();
  const auto environment = base::read_file(
      "/proc/" + std::to_string(system.worker("echo.0")["pid"].get<int>()) + "/environ");
  ASSERT_TRUE(environment);
  EXPECT_NE(environment->find(std::string("LISTEN_FDNAMES=two:one") + '\0'), std::string::npos);
  EXPECT_NE(environment->find(std::string("BULKHEAD_CONTROL_FD=5") + '\0'), std::string::npos);
}

TEST(Sockets, survive_a_reload_that_replaces_their_worker) {
  if (!has_python()) GTEST_SKIP() << "needs /usr/bin/python3";
  RunningSystem system("held",
                       config_with(R"({"api": {"listen": "unix:api.sock"}})", R"(["api"])"));
  system.await_all_ready();
  const std::string address = address_of(system.status(), "api");
  EXPECT_EQ(address, "unix:" + system.directory().path("api.sock"));
  const int pid = system.worker("server.0")["pid"];
  const std::string next =
      config_with(R"({"api": {"listen": "unix:api.sock"}, "more": {"listen": "tcp:127.0.0.1:0"}})",
                  R"(["api", "more"])", "x");
  system.request("reload", {{"path", system.directory().path("config.json")}, {"text", next}});
  const std::string answer = read_all(dial(address));
  EXPECT_TRUE(answer.ends_with(" 2 api:more")) << answer;
  EXPECT_NE(answer.substr(0, answer.find(' ')), std::to_string(pid));

  const std::string without = config_with("{}", "[]", "y");
  const auto text = json::parse(without);
  json sleeper = text;
  sleeper["workers"]["server"]["command"] = {"sleep", "100000"};
  system.request("reload",
                 {{"path", system.directory().path("config.json")}, {"text", sleeper.dump()}});
  EXPECT_FALSE(std::filesystem::exists(system.directory().path("api.sock")));
  EXPECT_TRUE(system.status()["sockets"].empty());
}

TEST(Sockets, leave_no_file_behind_and_take_over_one_that_is_deserted) {
  RunningSystem system("held", json{{"version", 1},
                                    {"name", "held"},
                                    {"sockets", {{"api", {{"listen", "unix:api.sock"}}}}},
                                    {"workers", {{"a", {{"command", {"sleep", "100000"}}}}}}}
                                   .dump());
  system.await_all_ready();
  const std::string file = system.directory().path("api.sock");
  EXPECT_TRUE(std::filesystem::exists(file));
  for (const int pid : system.processes()) ::kill(pid, SIGKILL);
  system.await_end();
  system.await_no_process();
  EXPECT_TRUE(std::filesystem::exists(file));
  system.start_again();
  system.await_all_ready();
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST(Sockets, an_address_that_is_taken_ends_the_start_and_is_named) {
  const base::UniqueFd other{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(other.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(other.get(), 1), 0);
  ASSERT_EQ(::getsockname(other.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  const std::string address = "tcp:127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  const auto config = [](const json& sockets) {
    return json{{"version", 1},
                {"name", "held"},
                {"sockets", sockets},
                {"workers", {{"a", {{"command", {"sleep", "100000"}}}}}}};
  };
  TemporaryDirectory directory;
  const auto path = directory.write("taken.json", config({{"api", {{"listen", address}}}}).dump());
  const auto run = run_command({BULKHEAD_PROGRAM, "run", path},
                               {"BULKHEAD_RUNTIME_DIR=" + directory.path("run")});
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find(address), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("api"), std::string::npos) << run.err;

  RunningSystem system("held", config(json::object()).dump());
  system.await_all_ready();
  const auto refused = system.try_request(
      "reload",
      {{"path", path},
       {"text", config({{"free", {{"listen", "tcp:127.0.0.1:0"}}}, {"api", {{"listen", address}}}})
                    .dump()}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().context.find(address), std::string::npos) << refused.error().context;
  EXPECT_EQ(system.status()["supervisor"]["config_serial"], 1);
  EXPECT_TRUE(system.status()["sockets"].empty());
}

}  // namespace
}  // namespace bulkhead::test
