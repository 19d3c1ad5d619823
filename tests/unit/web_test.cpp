// The parts of the web process that need no network: which names it goes by, what it counts, and how it says so.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "supervisor/web_hosts.hpp"
#include "supervisor/web_metrics.hpp"
#include "supervisor/web_pages.hpp"
#include "supervisor/web_rights.hpp"
#include "tests/support/metrics_text.hpp"

namespace bulkhead::supervisor {
namespace {

using nlohmann::json;

TEST(WebHosts, are_localhost_the_address_itself_and_what_the_config_names) {
  const WebHosts hosts({"metrics.example.org"});
  for (const char* good : {"localhost", "localhost:80", "LocalHost", "localhost.", "127.0.0.1",
                           "127.0.0.1:9464", "metrics.example.org", "Metrics.Example.Org:443"}) {
    EXPECT_TRUE(hosts.knows(good, "127.0.0.1")) << good;
  }
  EXPECT_TRUE(hosts.knows("[::1]:80", "::1"));
  EXPECT_TRUE(hosts.knows("[0:0:0:0:0:0:0:1]", "::1"));
  EXPECT_TRUE(hosts.knows("192.0.2.1", "::ffff:192.0.2.1"));
}

TEST(WebHosts, are_nobody_else) {
  const WebHosts hosts({"metrics.example.org"});
  for (const char* bad :
       {"", ":80", "evil.example.org", "localhost.evil.example.org", "evil.metrics.example.org",
        "127.0.0.1.evil.example.org", "127.0.0.2", "0.0.0.0", "[::1]", "localhost:x",
        "localhost:80:80", "localhost@evil.example.org", "localhost/evil", "localhost:123456",
        "[::1", "[127.0.0.1]x", "localhost ", "localhost,evil.example.org"}) {
    EXPECT_FALSE(hosts.knows(bad, "127.0.0.1")) << bad;
  }
}

json worker(const std::string& name, const std::string& state) {
  return {{"name", name},
          {"worker", name.substr(0, name.find('.'))},
          {"index", 0},
          {"state", state},
          {"pid", 7},
          {"generation", 3},
          {"restarts", 2},
          {"uptime_s", 1.5},
          {"rss_bytes", 4096},
          {"cpu_percent", 1.0},
          {"cpu_s", 0.25},
          {"next_start_in_ms", nullptr},
          {"last_exit", nullptr}};
}

json status_of(json workers) {
  return {{"supervisor",
           {{"name", "demo"},
            {"brain_generation", 4},
            {"uptime_s", 12.5},
            {"config_serial", 2},
            {"stopping", false},
            {"orphans_reaped", 1}}},
          {"workers", std::move(workers)},
          {"links", json::array()},
          {"sockets", json::array()}};
}

test::MetricsText metrics_of(const json& status, const WebTally& tally = {}) {
  return test::parse_metrics(metrics_text(status, tally, 0));
}

TEST(WebMetrics, say_of_each_instance_what_the_status_says) {
  json odd = worker("b.0", "backoff");
  odd["next_start_in_ms"] = 250;
  odd["last_exit"] = {
      {"kind", "signal"}, {"signal", "SIGKILL"}, {"code", 9}, {"t_ns", 2'500'000'000}};
  const auto metrics = metrics_of(status_of({worker("a.0", "ready"), odd}));
  EXPECT_EQ(metrics.value("bulkhead_workers", {{"state", "ready"}}), 1);
  EXPECT_EQ(metrics.value("bulkhead_workers", {{"state", "quarantined"}}), 0);
  EXPECT_EQ(metrics.count("bulkhead_workers"), 13U);
  EXPECT_EQ(metrics.value("bulkhead_worker_up", {{"name", "a.0"}, {"worker", "a"}}), 1);
  EXPECT_EQ(metrics.value("bulkhead_worker_up", {{"name", "b.0"}}), 0);
  EXPECT_EQ(metrics.value("bulkhead_worker_state", {{"name", "b.0"}, {"state", "backoff"}}), 1);
  EXPECT_EQ(metrics.value("bulkhead_worker_restarts_total", {{"name", "b.0"}}), 2);
  EXPECT_EQ(metrics.value("bulkhead_worker_cpu_seconds_total", {{"name", "a.0"}}), 0.25);
  EXPECT_EQ(metrics.value("bulkhead_worker_resident_memory_bytes", {{"name", "a.0"}}), 4096);
  EXPECT_EQ(metrics.value("bulkhead_worker_next_start_seconds", {{"name", "b.0"}}), 0.25);
  EXPECT_EQ(metrics.count("bulkhead_worker_next_start_seconds"), 1U);
  EXPECT_EQ(metrics.value("bulkhead_worker_last_exit_info",
                          {{"name", "b.0"}, {"kind", "signal"}, {"cause", "SIGKILL"}}),
            1);
  EXPECT_EQ(metrics.value("bulkhead_worker_last_exit_timestamp_seconds"), 2.5);
  EXPECT_EQ(metrics.value("bulkhead_brain_generation"), 4);
  EXPECT_EQ(metrics.value("bulkhead_info", {{"system", "demo"}}), 1);
}

TEST(WebMetrics, count_a_topic_by_subscriber_and_a_queue_once) {
  json status = status_of(json::array());
  const json figures{
      {"sent", 5}, {"acknowledged", 4}, {"redelivered", 1}, {"dropped", 2}, {"depth", 1}};
  json topic{{"name", "ticks"}, {"type", "topic"},      {"transport", "shm"},
             {"from", "t.0"},   {"to", {"s.0", "s.1"}}, {"published", 5}};
  for (const char* name : {"s.0", "s.1"}) {
    json row = figures;
    row["name"] = name;
    topic["subscribers"].push_back(row);
  }
  status["links"].push_back(topic);
  for (const char* to : {"c.0", "c.1"}) {
    json queue = figures;
    queue.update(json{{"name", "jobs"},
                      {"type", "queue"},
                      {"transport", "unix"},
                      {"from", "p.0"},
                      {"to", to},
                      {"quarantined", 3},
                      {"outstanding", 9}});
    status["links"].push_back(queue);
  }
  const auto metrics = metrics_of(status);
  EXPECT_EQ(metrics.value("bulkhead_link_sent_total",
                          {{"link", "ticks"}, {"to", "s.1"}, {"type", "topic"}}),
            5);
  EXPECT_EQ(metrics.value("bulkhead_link_dropped_total", {{"link", "ticks"}, {"to", "s.0"}}), 2);
  EXPECT_EQ(metrics.value("bulkhead_topic_published_total", {{"link", "ticks"}}), 5);
  EXPECT_EQ(metrics.value("bulkhead_link_quarantined_total", {{"link", "jobs"}, {"to", "c.1"}}), 3);
  EXPECT_EQ(metrics.value("bulkhead_link_depth", {{"to", "c.0"}, {"transport", "unix"}}), 1);
  EXPECT_EQ(metrics.value("bulkhead_queue_outstanding", {{"link", "jobs"}}), 9);
}

TEST(WebMetrics, put_recoveries_into_buckets_by_cause) {
  WebTally tally;
  EXPECT_TRUE(
      tally.add_events({{"events",
                         {{{"type", "worker.ready"}},
                          {{"type", "incident.closed"}, {"cause", "SIGKILL"}, {"ready_us", 3000}}}},
                        {"next", 3},
                        {"gap", 0},
                        {"complete", false}}));
  EXPECT_FALSE(tally.add_events(
      {{"events", {{{"type", "incident.closed"}, {"cause", "SIGKILL"}, {"ready_us", 90e6}}}},
       {"next", 9},
       {"gap", 5},
       {"complete", true}}));
  EXPECT_FALSE(tally.add_incidents({{"incidents", {{{"cause", "exit 3"}}, {{"cause", "SIGKILL"}}}},
                                    {"next", 3},
                                    {"complete", true}}));
  EXPECT_EQ(tally.next_event, 9U);
  EXPECT_EQ(tally.next_incident, 3U);
  const auto metrics = metrics_of(status_of(json::array()), tally);
  const test::MetricLabels killed{{"cause", "SIGKILL"}};
  EXPECT_EQ(metrics.value("bulkhead_recovery_seconds_count", killed), 2);
  EXPECT_DOUBLE_EQ(metrics.value("bulkhead_recovery_seconds_sum", killed), 90.003);
  EXPECT_EQ(metrics.value("bulkhead_recovery_seconds_bucket", {{"le", "0.0025"}}), 0);
  EXPECT_EQ(metrics.value("bulkhead_recovery_seconds_bucket", {{"le", "0.005"}}), 1);
  EXPECT_EQ(metrics.value("bulkhead_recovery_seconds_bucket", {{"le", "60"}}), 1);
  EXPECT_EQ(metrics.value("bulkhead_recovery_seconds_bucket", {{"le", "+Inf"}}), 2);
  EXPECT_EQ(metrics.value("bulkhead_events_total", {{"type", "incident.closed"}}), 2);
  EXPECT_EQ(metrics.value("bulkhead_events_missed_total"), 5);
  EXPECT_EQ(metrics.value("bulkhead_incidents_total", {{"cause", "exit 3"}}), 1);
}

// A brain that says the same number again must not be asked for ever.
TEST(WebTally, does_not_go_on_where_nothing_moves) {
  WebTally tally;
  EXPECT_FALSE(tally.add_events({{"events", json::array()}, {"next", 1}, {"complete", false}}));
}

TEST(WebMetrics, keep_odd_names_within_their_quotes) {
  json odd = worker("a.0", "ready");
  odd["name"] = "a\"\n\\.0";
  const auto metrics = metrics_of(status_of({odd}));
  EXPECT_EQ(metrics.value("bulkhead_worker_up", {{"name", "a\"\n\\.0"}}), 1);
}

WebSnapshot snapshot_of(json workers) {
  WebSnapshot snapshot;
  snapshot.status = status_of(std::move(workers));
  return snapshot;
}

TEST(WebPages, healthz_names_who_is_not_up) {
  EXPECT_EQ(
      web_page("/healthz", snapshot_of({worker("a.0", "ready"), worker("m.0", "done")})).status,
      200U);
  const auto page =
      web_page("/healthz", snapshot_of({worker("a.0", "ready"), worker("b.0", "backoff"),
                                        worker("c.0", "disabled"), worker("d.0", "waiting")}));
  EXPECT_EQ(page.status, 503U);
  EXPECT_EQ(page.body, "not up:\nb.0 backoff\nc.0 disabled\nd.0 waiting\n");
}

TEST(WebPages, healthz_takes_a_scheduled_worker_between_its_runs_for_well) {
  json row = worker("report.0", "waiting");
  row["next_start_in_ms"] = 3'600'000;
  EXPECT_EQ(web_page("/healthz", snapshot_of({row})).status, 200U);
}

TEST(WebPages, leave_the_supervisors_own_processes_out_of_status_and_health) {
  json row = worker("web", "backoff");
  row["internal"] = true;
  const auto snapshot = snapshot_of({worker("a.0", "ready"), row});
  EXPECT_EQ(web_page("/healthz", snapshot).status, 200U);
  const auto status = json::parse(web_page("/status", snapshot).body);
  ASSERT_EQ(status["workers"].size(), 1U);
  EXPECT_EQ(status["supervisor"], snapshot.status["supervisor"]);
  const auto metrics = test::parse_metrics(web_page("/metrics", snapshot).body);
  EXPECT_EQ(metrics.value("bulkhead_internal_up", {{"name", "web"}}), 1);
  EXPECT_EQ(metrics.count("bulkhead_worker_up"), 1U);
}

// What a child says that has given up its rights. The first number is what the kernel refused to take.
std::vector<int> without_rights(const std::vector<std::function<int()>>& attempts) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<int> said{static_cast<int>(drop_rights().size())};
    for (const auto& attempt : attempts) said.push_back(attempt());
    const auto bytes = said.size() * sizeof(int);
    ::_exit(::write(ends[1], said.data(), bytes) == static_cast<ssize_t>(bytes) ? 0 : 1);
  }
  std::vector<int> said(attempts.size() + 1);
  const auto bytes = static_cast<ssize_t>(said.size() * sizeof(int));
  ::close(ends[1]);
  EXPECT_EQ(::read(ends[0], said.data(), static_cast<std::size_t>(bytes)), bytes);
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return said;
}

int error_of(long result) { return result < 0 ? errno : 0; }

TEST(WebRights, are_gone_but_for_threads_and_unix_sockets) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's runtime ends a process that may not fork";
#endif
  const std::vector<std::function<int()>> refused{
      [] { return error_of(::open("/etc/passwd", O_RDONLY)); },
      [] { return error_of(::open("/tmp", O_RDWR | O_TMPFILE, 0600)); },
      [] { return error_of(::execl("/bin/true", "true", nullptr)); },
      [] { return error_of(::fork()); },
      [] { return error_of(::kill(::getppid(), 0)); },
      [] { return error_of(::socket(AF_INET, SOCK_STREAM, 0)); },
      [] { return error_of(::socket(AF_NETLINK, SOCK_RAW, 0)); },
      [] { return error_of(::setgid(0) != 0 || ::setgroups(0, nullptr) != 0 ? -1 : 0); }};
  const auto said = without_rights(refused);
  EXPECT_EQ(said[0], 0);
  for (std::size_t i = 1; i < said.size(); ++i) {
    EXPECT_TRUE(said[i] == EACCES || said[i] == EPERM) << "attempt " << i << ": " << said[i];
  }
  const std::vector<std::function<int()>> allowed{
      [] { return error_of(::socket(AF_UNIX, SOCK_SEQPACKET, 0)); },
      [] {
        int ran = 1;
        std::thread([&] { ran = 0; }).join();
        return ran;
      }};
  EXPECT_EQ(without_rights(allowed), (std::vector<int>{0, 0, 0}));
}

TEST(WebPages, are_made_once_of_each_snapshot) {
  auto snapshot = snapshot_of({worker("a.0", "ready")});
  WebPages pages;
  const auto first = pages.page("/healthz", snapshot);
  EXPECT_EQ(pages.page("/healthz", snapshot), first);
  EXPECT_NE(pages.page("/status", snapshot)->body, first->body);
  snapshot.status = status_of({worker("a.0", "failed")});
  ++snapshot.serial;
  EXPECT_EQ(pages.page("/healthz", snapshot)->status, 503U);
}

TEST(WebPages, say_why_when_the_supervisor_does_not_answer) {
  WebSnapshot snapshot;
  snapshot.error = make_error(Errc::timed_out, "status");
  for (const char* path : {"/metrics", "/status", "/healthz"}) {
    const auto page = web_page(path, snapshot);
    EXPECT_EQ(page.status, 503U) << path;
    EXPECT_NE(page.body.find("does not answer"), std::string::npos) << page.body;
  }
  EXPECT_FALSE(is_web_page("/"));
  EXPECT_FALSE(is_web_page("/metrics/"));
}

}  // namespace
}  // namespace bulkhead::supervisor
