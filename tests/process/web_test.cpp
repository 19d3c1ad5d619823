// /metrics, /status and /healthz of a real system: what they say, and that no death but that of the whole system
// keeps a scraper from its answer.
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/process/web_system.hpp"
#include "tests/support/command.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

TEST(Web, metrics_say_what_status_says) {
  WebSystem system;
  const int pid = system.worker("echo.1")["pid"];
  system.request("kill", {{"name", "echo.1"}});
  system.await_reborn("echo.1", pid);
  const auto metrics = system.metrics();
  const auto status = system.status();
  EXPECT_EQ(metrics.value("bulkhead_info", {{"system", "web"}}), 1);
  EXPECT_EQ(metrics.value("bulkhead_brain_generation"), 1);
  EXPECT_EQ(metrics.value("bulkhead_workers", {{"state", "ready"}}), 4);
  for (const auto& worker : status["workers"]) {
    const MetricLabels labels{{"name", worker["name"]}, {"worker", worker["worker"]}};
    EXPECT_EQ(metrics.value("bulkhead_worker_up", labels), 1);
    EXPECT_EQ(metrics.value("bulkhead_worker_restarts_total", labels), worker["restarts"]);
    EXPECT_EQ(metrics.value("bulkhead_worker_generation", labels), worker["generation"]);
    EXPECT_GT(metrics.value("bulkhead_worker_resident_memory_bytes", labels), 0);
    EXPECT_GT(metrics.value("bulkhead_worker_uptime_seconds", labels), 0);
    EXPECT_GE(metrics.value("bulkhead_worker_cpu_seconds_total", labels), 0);
  }
  EXPECT_EQ(metrics.value("bulkhead_worker_last_exit_info",
                          {{"name", "echo.1"}, {"kind", "signal"}, {"cause", "SIGKILL"}}),
            1);
  EXPECT_EQ(metrics.value("bulkhead_incidents_total", {{"cause", "SIGKILL"}}), 1);
  EXPECT_EQ(metrics.value("bulkhead_recovery_seconds_count", {{"cause", "SIGKILL"}}), 1);
  EXPECT_GE(metrics.value("bulkhead_events_total", {{"type", "worker.ready"}}), 5);
  EXPECT_EQ(metrics.value("bulkhead_internal_up", {{"name", "web"}}), 1);
  const MetricLabels ticks{
      {"link", "ticks"}, {"type", "channel"}, {"from", "ticker.0"}, {"to", "sink.0"}};
  const double sent = metrics.value("bulkhead_link_sent_total", ticks);
  EXPECT_LE(sent, system.link("ticks")["sent"]);
  EXPECT_GE(system.metrics().value("bulkhead_link_sent_total", ticks), sent);
}

TEST(Web, every_metric_is_in_the_docs_and_every_one_there_is_served) {
  WebSystem system(json{{"http", "127.0.0.1:0"}});
  std::set<std::string> documented, served;
  std::ifstream file(BULKHEAD_DOCS "/metrics.md");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("| `bulkhead_")) continue;
    documented.insert(line.substr(3, line.find('`', 3) - 3));
  }
  for (const auto& [name, type] : system.metrics().types) served.insert(name);
  EXPECT_EQ(documented, served);
}

// Such an answer of the brain comes as memory, which the web process may still map.
TEST(Web, a_status_that_no_packet_holds_is_served) {
  WebSystem system(on_any_port,
                   {{"crowd", {{"command", {"sleep", "100000"}}, {"instances", 260}}}});
  EXPECT_EQ(system.metrics().value("bulkhead_workers", {{"state", "ready"}}), 264);
  const auto status = system.get_page("/status");
  EXPECT_GT(status.body.size(), 64U << 10);
  EXPECT_EQ(json::parse(status.body)["workers"].size(), 264U);
}

TEST(Web, status_is_that_of_the_command) {
  WebSystem system;
  const auto answer = system.get_page("/status");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.fields.at("content-type"), "application/json");
  const auto served = json::parse(answer.body), told = system.status();
  ASSERT_EQ(served["workers"].size(), told["workers"].size());
  for (std::size_t i = 0; i < served["workers"].size(); ++i) {
    EXPECT_EQ(served["workers"][i]["name"], told["workers"][i]["name"]);
    EXPECT_EQ(served["workers"][i]["pid"], told["workers"][i]["pid"]);
  }
  EXPECT_EQ(served["supervisor"]["http"], told["supervisor"]["http"]);
  EXPECT_EQ(served["links"].size(), told["links"].size());
}

TEST(Web, healthz_names_who_is_down) {
  WebSystem system;
  EXPECT_EQ(system.get_page("/healthz").status, 200);
  system.request("stop", {{"name", "echo.1"}});
  HttpAnswer answer;
  // What was asked for another a moment before may still be good.
  for (int tries = 0; tries < 1000 && answer.status != 503; ++tries)
    answer = system.get_page("/healthz");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.body, "not up:\necho.1 disabled\n");
}

TEST(Web, there_is_nothing_else_and_nothing_that_changes_anything) {
  WebSystem system;
  const auto address = system.address();
  EXPECT_EQ(fetch(address, "/").status, 404);
  EXPECT_EQ(fetch(address, "/metrics/x").status, 404);
  EXPECT_EQ(fetch(address, "http://evil.example.org/metrics").status, 404);
  EXPECT_EQ(fetch(address, "/metrics?module=x").status, 200);
  for (const char* method : {"POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH"}) {
    HttpClient client(address);
    client.send(std::string(method) +
                " /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    const auto all = client.read_to_the_end();
    EXPECT_TRUE(all.starts_with("HTTP/1.1 405 ")) << method << ": " << all;
    EXPECT_NE(all.find("Allow: GET\r\n"), std::string::npos) << all;
  }
}

TEST(Web, is_no_worker) {
  WebSystem system;
  const auto status = system.status();
  for (const auto& worker : status["workers"]) EXPECT_NE(worker["name"], "web");
  EXPECT_NE(system.web_pid(), 0);
  for (const char* name : {"echo", "ticker", "sink"}) system.request("stop", {{"name", name}});
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
  system.await_no_process();
}

// A system of oneshots is over when they are, web process or not.
TEST(Web, keeps_no_system_running) {
  RunningSystem system("over",
                       json{{"version", 1},
                            {"name", "over"},
                            {"workers", {{"once", {{"command", {"true"}}, {"kind", "oneshot"}}}}},
                            {"supervisor", on_any_port}}
                           .dump());
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
  system.await_no_process();
}

// Scrapes all the time, one request after the other.
class ScrapeLoop {
 public:
  explicit ScrapeLoop(std::string address)
      : thread_([this, address = std::move(address)] { run(address); }) {}
  ~ScrapeLoop() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int good() const { return good_; }
  int failed() const { return failed_; }
  std::string last_failure() const { return failure_; }  // after stop()

 private:
  void run(const std::string& address) {
    while (!stopping_) {
      try {
        const auto answer = fetch(address, "/metrics");
        if (answer.status != 200) throw std::runtime_error(answer.body);
        parse_metrics(answer.body);
        ++good_;
      } catch (const std::exception& error) {
        ++failed_;
        failure_ = error.what();
      }
    }
  }
  std::atomic<bool> stopping_ = false;
  std::atomic<int> good_ = 0, failed_ = 0;
  std::string failure_;
  std::thread thread_;
};

TEST(Web, killed_under_a_scrape_loop_the_next_scrape_answers_at_the_same_port) {
  WebSystem system;
  const auto address = system.address();
  ScrapeLoop loop(address);
  int pid = system.web_pid();
  constexpr int rounds = 5;
  for (int round = 0; round < rounds; ++round) {
    system.kill_and_await(pid);
    EXPECT_EQ(fetch(address, "/healthz").status, 200);  // it waited for the successor
    const int next = system.web_pid();
    EXPECT_NE(next, pid);
    pid = next;
    EXPECT_EQ(system.address(), address);
  }
  loop.stop();
  EXPECT_GT(loop.good(), 0);
  EXPECT_LE(loop.failed(), rounds) << loop.last_failure();  // what each had read already
  EXPECT_EQ(system.status()["supervisor"]["brain_generation"], 1);
}

TEST(Web, the_death_of_the_brain_is_seen_by_no_scraper) {
  WebSystem system;
  const auto address = system.address();
  const int web = system.web_pid();
  ScrapeLoop loop(address);
  for (int round = 0; round < 5; ++round) {
    const int brain = system.brain_pid();
    system.kill_brain();
    system.await([&](const json& now) { return now["supervisor"]["brain_pid"] != brain; },
                 "a new brain");
    // What was asked of the one before may still be good.
    double generation = 0;
    for (int tries = 0; tries < 10'000 && generation != round + 2; ++tries) {
      generation = system.metrics().value("bulkhead_brain_generation");
    }
    EXPECT_EQ(generation, round + 2);
  }
  loop.stop();
  EXPECT_EQ(loop.failed(), 0) << loop.last_failure();
  EXPECT_EQ(system.web_pid(), web);
  EXPECT_EQ(system.address(), address);
}

TEST(Web, and_brain_killed_together_come_back_at_the_same_port) {
  WebSystem system;
  const auto address = system.address();
  const int web = system.web_pid();
  ::kill(system.brain_pid(), SIGKILL);
  ::kill(web, SIGKILL);
  EXPECT_EQ(fetch(address, "/healthz").status, 200);
  EXPECT_EQ(system.address(), address);
}

// Even one that can do nothing about it: it holds the port.
TEST(Web, does_not_outlive_the_keeper) {
  WebSystem system;
  const auto address = system.address();
  ASSERT_EQ(::kill(system.web_pid(), SIGSTOP), 0);
  ASSERT_EQ(::kill(system.keeper_pid(), SIGKILL), 0);
  system.await_end();
  system.await_no_process();
  EXPECT_THROW(HttpClient{address}, std::runtime_error);
}

// All programs but the web process.
void install(const TemporaryDirectory& directory) {
  for (const char* program : {"bulkhead", "bulkhead-keeper", "bulkhead-brain", "bulkhead-logger"}) {
    std::filesystem::copy_file(std::filesystem::path(BULKHEAD_PROGRAM).parent_path() / program,
                               directory.path(program));
  }
}

// Runs a oneshot to its end, with the programs that lie there.
CommandOutput run_installed(const TemporaryDirectory& directory, const json& command,
                            const std::string& environment) {
  const auto config = directory.write(
      "config.json", json{{"version", 1},
                          {"name", "over"},
                          {"workers", {{"waiter", {{"command", command}, {"kind", "oneshot"}}}}},
                          {"supervisor", on_any_port}}
                         .dump());
  return run_command({directory.path("bulkhead"), "run", config},
                     {"BULKHEAD_RUNTIME_DIR=" + directory.path("run"), environment});
}

TEST(Web, that_cannot_be_started_is_named_and_everything_else_runs) {
  TemporaryDirectory directory;
  install(directory);
  const auto run = run_installed(directory, {"true"}, "X=1");
  EXPECT_EQ(run.code, 0);
  EXPECT_NE(run.err.find("bulkhead: web: "), std::string::npos) << run.err;
  EXPECT_NE(run.err.find(directory.path("bulkhead-web")), std::string::npos) << run.err;
}

// Its uid may command, so only the brain can tell it from a person.
TEST(Web, taken_over_may_look_and_nothing_else) {
  TemporaryDirectory directory;
  install(directory);
  std::filesystem::copy_file(WEB_IMPOSTOR, directory.path("bulkhead-web"));
  const auto pipe = directory.path("pipe"), said = directory.path("said");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto run = run_installed(directory, {"/bin/sh", "-c", "cat " + pipe + " > " + said},
                                 "WEB_IMPOSTOR_PIPE=" + pipe);
  EXPECT_EQ(run.code, 0) << run.err;
  std::ifstream file(said);
  int answered = 0, refused = 0;
  for (std::string line; std::getline(file, line);) {
    const bool reads = line.starts_with("status ") || line.starts_with("events ") ||
                       line.starts_with("incidents ");
    EXPECT_TRUE(line.ends_with(reads ? " answered" : " refused")) << line;
    ++(reads ? answered : refused);
  }
  EXPECT_EQ(answered, 3);
  EXPECT_EQ(refused, 15);
}

std::string field_of_status(int pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":"))
      return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return "";
}

TEST(Web, has_given_up_its_rights_before_it_answers) {
  WebSystem system;
  ASSERT_EQ(system.get_page("/healthz").status, 200);
  const int pid = system.web_pid();
  EXPECT_EQ(field_of_status(pid, "NoNewPrivs"), "1");
  EXPECT_EQ(field_of_status(pid, "Seccomp"), "2");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    EXPECT_EQ(field_of_status(pid, set), "0000000000000000") << set;
  }
}

json with(const WebSystem& system, const json& supervisor) {
  return {{"path", system.directory().path("other.json")}, {"text", web_config(supervisor)}};
}

TEST(Web, a_reload_adds_changes_and_removes_it) {
  WebSystem system(json::object());
  EXPECT_EQ(system.address(), "");
  EXPECT_EQ(system.web_pid(), 0);
  const auto pids = [&] {
    std::vector<int> list;
    const auto status = system.status();
    for (const auto& worker : status["workers"]) list.push_back(worker["pid"]);
    return list;
  };
  const auto workers = pids();
  const auto plan = system.request("plan", with(system, on_any_port));
  ASSERT_EQ(plan["supervisor"].size(), 1U) << plan;
  EXPECT_EQ(plan["supervisor"][0]["key"], "/supervisor/http");

  system.request("reload", with(system, on_any_port));
  const auto first = system.address();
  EXPECT_EQ(fetch(first, "/healthz").status, 200);
  EXPECT_EQ(fetch(first, "/healthz", "metrics.example.org").status, 403);
  const int web = system.web_pid();

  system.request("reload",
                 with(system, {{"http", "127.0.0.1:0"}, {"http_hosts", {"Metrics.example.org"}}}));
  EXPECT_EQ(system.address(), first);
  EXPECT_EQ(system.web_pid(), web);
  // The order to go by another name is on its way to the web process.
  HttpAnswer named;
  for (int tries = 0; tries < 10'000 && named.status != 200; ++tries) {
    named = fetch(first, "/healthz", "metrics.example.org");
  }
  EXPECT_EQ(named.status, 200);

  system.request("reload", with(system, {{"http", "[::1]:0"}}));
  const auto second = system.address();
  ASSERT_TRUE(second.starts_with("[::1]:")) << second;
  EXPECT_EQ(fetch(second, "/healthz").status, 200);

  system.await_end_of(system.web_pid(),
                      [&] { system.request("reload", with(system, json::object())); });
  EXPECT_EQ(system.address(), "");
  for (const int pid : system.processes()) {
    EXPECT_NE(field_of_status(pid, "Name"), "bulkhead-web");
  }
  EXPECT_THROW(HttpClient{second}, std::runtime_error);
  EXPECT_THROW(HttpClient{first}, std::runtime_error);
  EXPECT_EQ(pids(), workers);
}

TEST(Web, an_address_that_is_taken_is_named_by_run_reload_and_check) {
  WebSystem other;
  const auto taken = other.address();
  const auto config = web_config({{"http", taken}});
  TemporaryDirectory directory;
  const auto path = directory.write("taken.json", config);
  const std::vector<std::string> elsewhere{"BULKHEAD_RUNTIME_DIR=" + directory.path("run")};
  const auto run = run_command({BULKHEAD_PROGRAM, "run", path}, elsewhere);
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find(taken), std::string::npos) << run.err;
  const auto check = run_command({BULKHEAD_PROGRAM, "check", path}, elsewhere);
  EXPECT_EQ(check.code, 78);
  EXPECT_NE(check.err.find("/supervisor/http: cannot listen at " + taken), std::string::npos)
      << check.err;

  WebSystem system(json::object());
  const auto reload = system.try_request("reload", {{"path", path}, {"text", config}});
  ASSERT_FALSE(reload);
  EXPECT_NE(reload.error().context.find(taken), std::string::npos) << reload.error().context;
  EXPECT_EQ(system.status()["supervisor"]["config_serial"], 1);
}

TEST(Web, check_takes_no_offence_at_the_system_itself) {
  WebSystem system;
  const auto path = system.directory().write("own.json", web_config({{"http", system.address()}}));
  const auto check = run_command({BULKHEAD_PROGRAM, "check", path},
                                 {"BULKHEAD_RUNTIME_DIR=" + system.directory().path("run")});
  EXPECT_EQ(check.code, 0) << check.err;
}

TEST(Web, status_prints_where_it_is) {
  WebSystem system;
  const auto printed = run_command({BULKHEAD_PROGRAM, "status"},
                                   {"BULKHEAD_RUNTIME_DIR=" + system.directory().path("run")});
  EXPECT_NE(printed.out.find("http://" + system.address() + "/metrics"), std::string::npos)
      << printed.out;
}

}  // namespace
}  // namespace bulkhead::test
