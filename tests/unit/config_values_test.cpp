// What a good config means: defaults, merging, paths, and everything that a worker or a link may say.
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "tests/support/config_text.hpp"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using test::one_worker;
using test::parsed;

TEST(Config, has_the_documented_defaults) {
  const SystemConfig config = parsed(one_worker(""));
  EXPECT_EQ(config.name, "t");
  EXPECT_EQ(config.directory, "/etc/demo");
  EXPECT_GE(config.max_parallel_starts, 2U);
  ASSERT_EQ(config.workers.size(), 1U);
  const WorkerConfig& worker = config.workers[0];
  EXPECT_EQ(worker.instances, 1U);
  EXPECT_EQ(worker.kind, WorkerKind::service);
  EXPECT_EQ(worker.ready.type, ReadyType::exec);
  EXPECT_EQ(worker.restart.policy, RestartPolicy::always);
  EXPECT_EQ(worker.restart.backoff.initial, 100ms);
  EXPECT_EQ(worker.restart.backoff.max, 10s);
  EXPECT_EQ(worker.restart.limit->count, 10U);
  EXPECT_EQ(worker.restart.limit->within, 60s);
  EXPECT_EQ(worker.restart.limit->then, LimitThen::half_open);
  EXPECT_EQ(worker.stop.signal, SIGTERM);
  EXPECT_EQ(worker.stop.timeout, 5s);
  EXPECT_EQ(worker.logs.max_size, 16U << 20);
  EXPECT_EQ(worker.logs.keep, 5U);
  EXPECT_EQ(worker.logs.overflow, LogOverflow::drop);
  EXPECT_EQ(worker.watchdog, std::nullopt);
  EXPECT_EQ(worker.working_dir, "/etc/demo");
  EXPECT_EQ(worker.affinity.kind, Affinity::Kind::none);
  EXPECT_EQ(worker.nice, std::nullopt);
  EXPECT_TRUE(worker.runtime);
  EXPECT_EQ(worker.config_json, "{}");
}

TEST(Config, says_where_metrics_are_served_and_under_which_names) {
  const auto config_with = [](const std::string& supervisor) {
    return parsed(
        R"({"version": 1, "name": "t", "workers": {"a": {"command": ["x"]}}, "supervisor": {)" +
        supervisor + "}}");
  };
  EXPECT_EQ(config_with("").http, std::nullopt);
  const auto four =
      config_with(R"("http": "127.0.0.1:9464", "http_hosts": ["Metrics.example.org"])");
  ASSERT_TRUE(four.http);
  EXPECT_EQ(four.http->host, "127.0.0.1");
  EXPECT_EQ(four.http->port, 9464);
  EXPECT_EQ(four.http_hosts, std::vector<std::string>{"metrics.example.org"});
  ASSERT_EQ(four.listeners().size(), 1U);
  EXPECT_EQ(config_with(R"("http": "[::1]:0")").http->host, "::1");
  EXPECT_EQ(config_with(R"("http": "0.0.0.0:80")").http->host, "0.0.0.0");
  const auto effective = effective_json(four);
  EXPECT_EQ(effective["supervisor"]["http"], "127.0.0.1:9464");
  EXPECT_FALSE(effective_json(config_with(""))["supervisor"].contains("http"));
}

TEST(Config, reads_everything_that_a_worker_may_say) {
  const WorkerConfig worker = parsed(one_worker(R"("instances": 3, "kind": "oneshot",
    "ready": {"type": "port", "port": 8080, "timeout": "7s"}, "watchdog": {"timeout": "2s"},
    "restart": {"policy": "on_failure", "backoff": {"initial": "1ms", "max": "2s", "factor": 1.5, "jitter": 0,
                "reset_after": "1m"}, "limit": {"count": 3, "within": "30s", "then": "stop"}},
    "stop": {"signal": "SIGINT", "timeout": "0ms"},
    "logs": {"directory": "logs", "max_size": "1MiB", "keep": 2, "overflow": "block"},
    "env": {"A": "${index}", "B": ""}, "working_dir": "sub", "user": "nobody",
    "limits": {"memory": "256MiB", "nofile": 100, "cpu": "1m", "core": 0, "pids": 5},
    "cpu": {"affinity": [2, 0], "nice": -5}, "provides": ["s", {"name": "u", "transport": "unix"}],
    "sandbox": "none", "warm_spares": 0, "config": {"b": [1, null], "a": "x"})"))
                                  .workers.at(0);
  EXPECT_EQ(worker.instances, 3U);
  EXPECT_EQ(worker.kind, WorkerKind::oneshot);
  EXPECT_EQ(worker.ready.type, ReadyType::port);
  EXPECT_EQ(worker.ready.port, 8080);
  EXPECT_EQ(worker.ready.timeout, 7s);
  EXPECT_EQ(worker.watchdog, std::optional<Duration>(2s));
  EXPECT_EQ(worker.restart.policy, RestartPolicy::on_failure);
  EXPECT_EQ(worker.restart.backoff.factor, 1.5);
  EXPECT_EQ(worker.restart.backoff.reset_after, 1min);
  EXPECT_EQ(worker.restart.limit->then, LimitThen::stop);
  EXPECT_EQ(worker.stop.signal, SIGINT);
  EXPECT_EQ(worker.stop.timeout, 0s);
  EXPECT_EQ(worker.logs.directory, "/etc/demo/logs");
  EXPECT_EQ(worker.logs.overflow, LogOverflow::block);
  EXPECT_EQ(worker.env.at("A"), "${index}");  // expanded for each instance when it starts
  EXPECT_EQ(worker.working_dir, "/etc/demo/sub");
  EXPECT_EQ(worker.user, "nobody");
  EXPECT_EQ(worker.limits.memory, 256U << 20);
  EXPECT_EQ(worker.limits.cpu, std::optional<Duration>(1min));
  EXPECT_EQ(worker.limits.core, 0U);
  EXPECT_EQ(worker.limits.pids, 5U);
  EXPECT_EQ(worker.affinity.kind, Affinity::Kind::fixed);
  EXPECT_EQ(worker.affinity.cpus, (std::vector<int>{2, 0}));
  EXPECT_EQ(worker.nice, -5);
  ASSERT_EQ(worker.provides.size(), 2U);
  EXPECT_EQ(worker.provides[0].transport, Transport::shm);
  EXPECT_EQ(worker.provides[1].transport, Transport::unix_socket);
  EXPECT_EQ(worker.config_json, R"({"b":[1,null],"a":"x"})");
}

TEST(Config, takes_warm_spares_of_a_service_of_the_runtime) {
  EXPECT_EQ(parsed(one_worker(R"("warm_spares": 8)")).workers.at(0).warm_spares, 8U);
  EXPECT_EQ(parsed(one_worker(R"("instances": 2)")).workers.at(0).warm_spares, 0U);
}

TEST(Config, merges_defaults_key_by_key) {
  const SystemConfig config = parsed(R"({"version": 1, "name": "t",
    "defaults": {"restart": {"policy": "on_failure", "backoff": {"initial": "1ms", "factor": 3}, "limit": "none"},
                 "stop": {"timeout": "1s"}, "logs": {"keep": 9}},
    "workers": {"a": {"command": ["x"], "restart": {"backoff": {"factor": 4}}, "logs": {"max_size": "1MiB"}},
                "b": {"command": ["x"], "restart": {"limit": {"count": 2}}}}})");
  const WorkerConfig& a = config.workers.at(0);
  EXPECT_EQ(a.restart.policy, RestartPolicy::on_failure);
  EXPECT_EQ(a.restart.backoff.initial, 1ms);
  EXPECT_EQ(a.restart.backoff.factor, 4);
  EXPECT_EQ(a.restart.limit, std::nullopt);
  EXPECT_EQ(a.stop.timeout, 1s);
  EXPECT_EQ(a.logs.keep, 9U);
  EXPECT_EQ(a.logs.max_size, 1U << 20);
  EXPECT_EQ(config.workers.at(1).restart.limit->count, 2U);
  EXPECT_EQ(config.workers.at(1).restart.limit->within, 60s);
}

TEST(Config, keeps_the_order_of_the_file) {
  const SystemConfig config = parsed(R"({"version": 1, "name": "t", "workers": {
    "z": {"command": ["x"]}, "a": {"command": ["x"]}, "m": {"command": ["x"]}}})");
  ASSERT_EQ(config.workers.size(), 3U);
  EXPECT_EQ(config.workers[0].name, "z");
  EXPECT_EQ(config.workers[2].name, "m");
}

TEST(Config, ignores_comments_and_keys_of_others) {
  parsed("// head\n" +
         one_worker(R"("x-team": {"any": "thing"}, "stop": {"x-why": 1, "x-why": 2})",
                    R"("x-top": [])") +
         "/**/");
}

TEST(Config, gives_a_worker_one_instance_for_each_cpu_on_request) {
  EXPECT_GE(parsed(one_worker(R"("instances": "cpus")")).workers.at(0).instances, 1U);
}

TEST(Config, gives_each_subscriber_of_a_topic_its_policy_and_the_links_where_it_has_none) {
  const auto config = parsed(R"({"version": 1, "name": "t",
    "workers": {"a": {"command": ["x"]}, "b": {"command": ["x"], "instances": 3}, "c": {"command": ["x"]}},
    "links": {"many": {"type": "topic", "from": "a", "overflow": "drop_oldest", "history": 10,
                       "to": ["b", {"worker": "c", "overflow": "conflate", "history": 1}]},
              "one": {"type": "topic", "from": "a", "to": "c"}}})");
  const LinkConfig& many = config.links.at(0);
  EXPECT_EQ(many.type, LinkType::topic);
  EXPECT_EQ(many.from, "a");
  EXPECT_EQ(many.to, (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(many.policies,
            (std::vector<TopicPolicy>{{Overflow::drop_oldest, 10}, {Overflow::conflate, 1}}));
  EXPECT_EQ(config.links.at(1).to, std::vector<std::string>{"c"});
  EXPECT_EQ(config.links.at(1).policies, std::vector<TopicPolicy>{TopicPolicy{}});
}

TEST(Config, takes_every_kind_of_link_over_every_transport) {
  for (const std::string transport : {"shm", "unix", "tcp", "pipe"}) {
    for (const std::string type : {"channel", "topic", "queue"}) {
      const auto config = parsed(R"({"version": 1, "name": "t",
        "workers": {"a": {"command": ["x"]}, "b": {"command": ["x"]}},
        "links": {"l": {"from": "a", "to": "b", "type": ")" +
                                 type + R"(", "transport": ")" + transport + R"("}}})");
      ASSERT_EQ(config.links.size(), 1U) << type << " over " << transport;
      EXPECT_EQ(to_string(config.links[0].transport), transport);
    }
  }
}

TEST(Config, reads_links) {
  const SystemConfig config = parsed(R"({"version": 1, "name": "t",
    "workers": {"a": {"command": ["x"]}, "b": {"command": ["x"], "instances": 3}},
    "links": {"l": {"from": "a", "to": "b"},
              "t": {"type": "channel", "from": "b", "to": "a", "transport": "tcp", "capacity": "100KiB",
                    "max_message": "1KiB", "wait": "spin", "overflow": "block"}}})");
  ASSERT_EQ(config.links.size(), 2U);
  const LinkConfig& l = config.links[0];
  EXPECT_EQ(l.name, "l");
  EXPECT_EQ(l.type, LinkType::channel);
  EXPECT_EQ(l.transport, Transport::shm);
  EXPECT_EQ(l.from, "a");
  EXPECT_EQ(l.to, std::vector<std::string>{"b"});
  EXPECT_EQ(l.options.capacity, 1U << 20);
  EXPECT_EQ(l.options.max_message, 64U << 10);
  EXPECT_EQ(config.links[1].options.capacity, 100U << 10);
  EXPECT_EQ(config.links[1].options.wait, WaitMode::spin);
}

TEST(Config, reads_queues_and_leaves_room_for_their_frames) {
  const auto with = [](const char* options) {
    return R"({"version": 1, "name": "t",
      "workers": {"a": {"command": ["x"]}, "b": {"command": ["x"], "instances": 3}},
      "links": {"q": {"type": "queue", "from": "a", "to": "b", "capacity": "64KiB", )" +
           std::string(options) + "}}}";
  };
  const LinkConfig queue = parsed(with(R"("max_message": "32712B")")).links.at(0);
  EXPECT_EQ(queue.type, LinkType::queue);
  EXPECT_EQ(queue.max_attempts, 3U);
  EXPECT_EQ(queue.lease_timeout, std::nullopt);
  EXPECT_EQ(
      parsed(with(R"("max_message": "1KiB", "lease_timeout": "none")")).links.at(0).lease_timeout,
      std::nullopt);
  EXPECT_EQ(
      parsed(with(R"("max_message": "1KiB", "lease_timeout": "2s")")).links.at(0).lease_timeout,
      std::chrono::seconds(2));
  EXPECT_EQ(queue.options.max_message, 32712U);
  EXPECT_EQ(parsed(with(R"("max_message": "1KiB", "max_attempts": 1000)")).links.at(0).max_attempts,
            1000U);
  const auto refused = parse_config(with(R"("max_message": "32713B")"), "config", {"", false});
  EXPECT_NE(test::issues_in(refused).find("(capacity - 64) / 2 - 24 in a queue"),
            std::string::npos);
}

TEST(Config, lets_the_largest_message_be_exactly_what_the_lane_takes) {
  const auto with = [](const char* max_message) {
    return R"({"version": 1, "name": "t", "workers": {"a": {"command": ["x"]}, "b": {"command": ["x"]}},
               "links": {"l": {"from": "a", "to": "b", "capacity": "64KiB", "max_message": ")" +
           std::string(max_message) + "\"}}}";
  };
  EXPECT_EQ(parsed(with("32736B")).links.at(0).options.max_message, 32736U);
  const auto refused = parse_config(with("32737B"), "config", {"", false});
  EXPECT_NE(test::issues_in(refused).find("does not fit"), std::string::npos);
}

TEST(Config, finds_executables_by_path_beside_the_file_and_by_name) {
  const SystemConfig config = parsed(R"({"version": 1, "name": "t", "workers": {
    "absolute": {"command": ["/bin/true"]}, "relative": {"command": ["./tools/x"]},
    "up": {"command": ["../x"]}, "unknown": {"command": ["no-such-program-anywhere"]}}})");
  EXPECT_EQ(config.workers.at(0).executable, "/bin/true");
  EXPECT_EQ(config.workers.at(1).executable, "/etc/demo/tools/x");
  EXPECT_EQ(config.workers.at(2).executable, "/etc/demo/../x");
  EXPECT_EQ(config.workers.at(3).executable, "/opt/bulkhead/bin/no-such-program-anywhere");
}

TEST(Config, accepts_a_limit_that_an_early_reset_of_the_backoff_lets_trip) {
  // Twenty delays in a row take minutes; dying right after each reset takes 20 x 100 ms.
  parsed(one_worker(
      R"("restart": {"backoff": {"reset_after": "100ms"}, "limit": {"count": 20, "within": "2100ms"}})"));
}

TEST(Config, does_not_ask_anybody_to_fit_the_default_limit_to_a_slow_backoff) {
  const std::string slow = R"("restart": {"backoff": {"initial": "1m", "max": "10m"}})";
  EXPECT_TRUE(parsed(one_worker(slow)).workers.at(0).restart.limit.has_value());
  const std::string stated = R"("defaults": {"restart": {"limit": {"count": 10}}})";
  const auto refused = parse_config(one_worker(slow, stated), "config", {"", false});
  EXPECT_NE(test::issues_in(refused).find("a limit that can never trip"), std::string::npos);
}

TEST(Config, lets_a_service_complete_that_is_not_restarted_after_success) {
  parsed(R"({"version": 1, "name": "t", "workers": {
    "once": {"command": ["x"], "restart": {"policy": "on_failure"}},
    "job": {"command": ["x"], "kind": "oneshot"},
    "late": {"command": ["x"], "depends_on": {"once": "completed", "job": "completed"}}}})");
}

TEST(EffectiveJson, is_read_as_the_same_config) {
  const SystemConfig config =
      parsed(one_worker(R"("ready": {"type": "port", "port": 1}, "watchdog": {"timeout": "2s"},
    "restart": {"limit": "none"}, "limits": {"core": 0, "cpu": "90s"}, "cpu": {"affinity": [0], "nice": 3},
    "env": {"A": "é\n"}, "user": "nobody", "config": {"deep": [1.5, -0, 18446744073709551616]})"));
  const auto effective = effective_json(config);
  const SystemConfig again = parsed(effective.dump(2));
  EXPECT_EQ(effective_json(again).dump(2), effective.dump(2));
  EXPECT_EQ(again.workers.at(0).config_json, config.workers.at(0).config_json);
  EXPECT_EQ(again.workers.at(0).executable, config.workers.at(0).executable);
}

TEST(EffectiveJson, has_every_default_that_is_documented) {
  const auto json = effective_json(parsed(one_worker("", R"("links": {})")));
  const auto& worker = json.at("workers").at("a");
  EXPECT_EQ(worker.at("instances"), 1);
  EXPECT_EQ(worker.at("kind"), "service");
  EXPECT_EQ(worker.at("ready").at("type"), "exec");
  EXPECT_EQ(worker.at("stop").dump(), R"({"signal":"SIGTERM","timeout":"5s"})");
  EXPECT_EQ(worker.at("watchdog"), "none");
  EXPECT_EQ(worker.at("sandbox"), "none");
  EXPECT_EQ(worker.at("limits"), "none");
  EXPECT_EQ(worker.at("logs").at("overflow"), "drop");
  EXPECT_TRUE(worker.at("logs").at("directory").get<std::string>().ends_with("/t/logs"));
}

}  // namespace
}  // namespace bulkhead::supervisor
