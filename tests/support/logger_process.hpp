// Runs bulkhead-logger as the brain does: with a control socket and pipes whose ends stay with the
// test. Used by the logger's tests; must not know how the logger works.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>

#include "base/child_process.hpp"
#include "ipc/control_packet.hpp"
#include "ipc/json_rpc.hpp"

namespace bulkhead::test {

inline constexpr std::chrono::seconds logger_watchdog{60};

class LoggerProcess {
 public:
  LoggerProcess() {
    auto sockets = base::make_socketpair(SOCK_SEQPACKET).value();
    control_ = std::move(sockets.first);
    base::SpawnPlan plan;
    plan.executable = BULKHEAD_LOGGER_PROGRAM;
    plan.argv = {"bulkhead-logger", "--control-fd", "3"};
    plan.output = plan.errors = -1;
    plan.death_signal = base::DeathSignal{SIGKILL, ::getpid()};
    plan.fds.push_back({sockets.second.get(), 3});
    child_.emplace(base::spawn(plan).value(), base::ChildProcess::OnDestroy::kill);
  }

  void add(const std::string& name, const std::string& path, int pipe, ipc::Json options = {}) {
    ipc::Json params{{"name", name}, {"path", path},       {"max_size", 1 << 30},
                     {"keep", 3},    {"overflow", "drop"}, {"fds", {"pipe"}}};
    if (!options.is_null()) params.update(options);
    send(ipc::notification("log.add", params), std::span<const int>(&pipe, 1));
  }
  void send(const ipc::Json& message, std::span<const int> fds = {}) {
    const auto sent = ipc::send_packet(control_.get(), message, fds, Deadline::in(logger_watchdog));
    ASSERT_TRUE(sent) << sent.error().to_string();
  }
  void ask_to_flush() { send(ipc::request(++last_id_, "log.flush", ipc::Json::object())); }
  void await_flushed() {
    const auto answer = ipc::receive_packet(control_.get(), Deadline::in(logger_watchdog));
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->body.at("id"), last_id_);
    EXPECT_TRUE(answer->body.contains("result"));
  }
  void flush() {
    ask_to_flush();
    await_flushed();
  }
  // The answer to "log.tail".
  ipc::Json tail(const std::string& name, std::size_t lines, std::size_t bytes) {
    send(
        ipc::request(++last_id_, "log.tail", {{"name", name}, {"lines", lines}, {"bytes", bytes}}));
    const auto answer = ipc::receive_packet(control_.get(), Deadline::in(logger_watchdog)).value();
    EXPECT_EQ(answer.body.at("id"), last_id_);
    return answer.body;
  }
  base::ExitStatus close_control() {
    control_.reset();
    return child_->wait(Deadline::in(logger_watchdog)).value();
  }
  base::ExitStatus end_by(int signal) {
    EXPECT_TRUE(child_->send_signal(signal));
    return child_->wait(Deadline::in(logger_watchdog)).value();
  }
  int control() const { return control_.get(); }

 private:
  base::UniqueFd control_;
  std::optional<base::ChildProcess> child_;
  std::uint64_t last_id_ = 0;
};

// Waits until `holds` after some change in the directory. False: it never did.
inline bool await_change(const std::string& directory, const std::function<bool()>& holds) {
  const base::UniqueFd watch(::inotify_init1(IN_CLOEXEC));
  ::inotify_add_watch(watch.get(), directory.c_str(), IN_CREATE | IN_MODIFY | IN_MOVED_TO);
  const auto deadline = Deadline::in(logger_watchdog);
  while (!holds()) {
    pollfd look{watch.get(), POLLIN, 0};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline.remaining()).count();
    if (left <= 0 || ::poll(&look, 1, static_cast<int>(left)) == 0) return false;
    char events[4096];
    if (::read(watch.get(), events, sizeof events) < 0) return false;
  }
  return true;
}

inline std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    ASSERT_GT(written, 0);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace bulkhead::test
