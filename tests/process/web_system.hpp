// A running system with a web process, for the tests of what it serves.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>
#include <string>

#include "base/fd.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/metrics_text.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {

inline const nlohmann::json on_any_port{{"http", "127.0.0.1:0"}};

inline std::string web_config(const nlohmann::json& supervisor,
                              const nlohmann::json& more_workers = {}) {
  nlohmann::json workers{
      {"echo",
       {{"command", {"echo-worker"}},
        {"ready", {{"type", "notify"}}},
        {"provides", {"echo"}},
        {"instances", 2}}},
      {"ticker", {{"command", {"ticker-worker"}}, {"ready", {{"type", "notify"}}}}},
      {"sink", {{"command", {"sink-worker"}}, {"ready", {{"type", "notify"}}}}}};
  if (more_workers.is_object()) workers.update(more_workers);
  return nlohmann::json{
      {"version", 1},
      {"name", "web"},
      {"defaults", {{"restart", {{"backoff", {{"initial", "0ms"}}}, {"limit", "none"}}}}},
      {"workers", std::move(workers)},
      {"links", {{"ticks", {{"type", "channel"}, {"from", "ticker"}, {"to", "sink"}}}}},
      {"supervisor", supervisor}}
      .dump();
}

class WebSystem : public RunningSystem {
 public:
  explicit WebSystem(const nlohmann::json& supervisor = on_any_port,
                     const nlohmann::json& more_workers = {})
      : RunningSystem("web", web_config(supervisor, more_workers)) {
    await_all_ready();
  }

  std::string address() {
    const auto http = status()["supervisor"]["http"];
    return http.is_string() ? http.get<std::string>() : "";
  }
  HttpAnswer get_page(const std::string& path) { return fetch(address(), path); }
  MetricsText metrics() {
    const auto answer = get_page("/metrics");
    if (answer.status != 200) throw std::runtime_error(answer.body);
    return parse_metrics(answer.body);
  }
  // 0 where there is none.
  int web_pid() {
    const auto now = request("status", {{"all", true}});
    for (const auto& worker : now["workers"]) {
      if (worker["name"] == "web" && worker["pid"].is_number()) return worker["pid"];
    }
    return 0;
  }
  // Does something that ends the process, and waits until it has ended: its listener is open until then, which is
  // a moment longer than it can be found by its environment.
  template <class End>
  void await_end_of(int pid, const End& end) {
    const auto pidfd = base::open_pidfd(pid);
    if (!pidfd) throw std::runtime_error(pidfd.error().to_string());
    end();
    pollfd dead{pidfd->get(), POLLIN, 0};
    ASSERT_EQ(::poll(&dead, 1, 30'000), 1);
  }
  void kill_and_await(int pid) {
    await_end_of(pid, [pid] { ASSERT_EQ(::kill(pid, SIGKILL), 0); });
  }
};

}  // namespace bulkhead::test
