// Programs of the distribution, run by the configs that we ship: killed, restarted, reloaded and stopped.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

json shipped(const std::string& name) {
  const auto text = base::read_file(BULKHEAD_SOURCE_DIR "/configs/" + name).value();
  auto config = json::parse(text, nullptr, true, /*ignore_comments=*/true);
  config.erase("$schema");
  return config;
}

// Sends, and returns what comes until there is `until` in it or the peer closes.
std::string talk(const base::UniqueFd& fd, const sockaddr* to, socklen_t size,
                 const std::string& words, const std::string& until) {
  if (::connect(fd.get(), to, size) != 0) return std::strerror(errno);
  if (::send(fd.get(), words.data(), words.size(), MSG_NOSIGNAL) < 0) return std::strerror(errno);
  std::string answer;
  char chunk[1000];
  for (ssize_t n = 0;
       answer.find(until) == answer.npos && (n = ::read(fd.get(), chunk, sizeof chunk)) > 0;) {
    answer.append(chunk, static_cast<std::size_t>(n));
  }
  return answer;
}

std::string ask_redis(const std::string& path, const std::string& command) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::strncpy(to.sun_path, path.c_str(), sizeof to.sun_path - 1);
  const base::UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  return talk(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to, command + "\r\n", "\r\n");
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

std::uint16_t free_port() {
  const base::UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in at = loopback(0);
  socklen_t size = sizeof at;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), size) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    throw std::runtime_error("no free port");
  }
  return ntohs(at.sin_port);
}

// What every program has to bear, whatever it is. `works` talks to it.
void kill_restart_reload_stop(RunningSystem& system, json config, const std::string& worker,
                              const std::function<void()>& works) {
  const std::string instance = worker + ".0";
  int pid = system.worker(instance)["pid"];
  works();
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  pid = system.await_reborn(instance, pid)["pid"];
  works();
  system.kill_brain();
  EXPECT_EQ(system.worker(instance)["pid"], pid)
      << "the supervisor's death is none of its business";
  works();
  system.request("restart", {{"name", worker}});
  pid = system.await_reborn(instance, pid)["pid"];
  works();
  config["workers"][worker]["env"] = {{"ANOTHER", "environment"}};
  system.request("reload",
                 {{"path", system.directory().path("config.json")}, {"text", config.dump()}});
  pid = system.await_reborn(instance, pid)["pid"];
  works();
  system.request("stop", {{"name", worker}});
  EXPECT_EQ(system.worker(instance)["state"], "disabled");
  EXPECT_EQ(::kill(pid, 0), -1) << "its process is gone";
}

TEST(RealPrograms, redis_is_ready_when_it_says_so_and_bears_everything) {
  if (!std::filesystem::exists("/usr/bin/redis-server")) GTEST_SKIP() << "needs redis-server";
  TemporaryDirectory directory;
  const std::string place = directory.path("redis.sock");
  auto config = shipped("redis.json");
  for (const std::string& word :
       {std::string("--port"), std::string("0"), std::string("--unixsocket"), place}) {
    config["workers"]["redis"]["command"].push_back(word);
  }
  RunningSystem system("redis", config.dump());
  system.await_all_ready();
  EXPECT_EQ(system.worker("redis.0")["status_text"], "Ready to accept connections");
  kill_restart_reload_stop(system, config, "redis",
                           [&] { EXPECT_EQ(ask_redis(place, "SET key value"), "+OK\r\n"); });
  EXPECT_EQ(system.worker("redis.0")["last_exit"]["kind"], "exit")
      << "it had the time to end by itself";
  EXPECT_EQ(system.worker("redis.0")["notify"], nullptr);
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
}

TEST(RealPrograms, the_web_server_of_python_is_ready_when_its_port_answers_and_bears_everything) {
  if (!std::filesystem::exists("/usr/bin/python3")) GTEST_SKIP() << "needs /usr/bin/python3";
  const std::uint16_t port = free_port();
  auto config = shipped("plain-programs.json");
  auto& web = config["workers"]["web"];
  web["command"] = {"/usr/bin/python3",  "-u", "-m", "http.server", "--bind", "127.0.0.1",
                    std::to_string(port)};
  web["ready"]["port"] = port;
  RunningSystem system("plain-programs", config.dump());
  system.await_all_ready();
  const sockaddr_in to = loopback(port);
  kill_restart_reload_stop(system, config, "web", [&] {
    const base::UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const auto answer = talk(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to,
                             "GET / HTTP/1.0\r\n\r\n", "</html>");
    EXPECT_TRUE(answer.starts_with("HTTP/1.0 200 OK")) << answer;
  });
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
}

TEST(RealPrograms, a_shell_script_says_it_with_systemd_notify) {
  if (!std::filesystem::exists("/usr/bin/systemd-notify")) GTEST_SKIP() << "needs systemd-notify";
  const char* const script = "systemd-notify --ready --status='from a script'; exec sleep 100000";
  RunningSystem system("script", json{{"version", 1},
                                      {"name", "script"},
                                      {"workers",
                                       {{"a",
                                         {{"command", {"/bin/sh", "-c", script}},
                                          {"runtime", false},
                                          {"ready", {{"type", "notify"}, {"timeout", "60s"}}}}}}}}
                                     .dump());
  system.await_all_ready();
  EXPECT_EQ(system.worker("a.0")["status_text"], "from a script");
  EXPECT_EQ(system.worker("a.0")["notify"]["refused"], 0);
}

}  // namespace
}  // namespace bulkhead::test
