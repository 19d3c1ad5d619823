// A system's configuration, validated: plain values that the rest of the supervisor may trust.
// Made by parse_config (config_parse.cpp); knows nothing of processes.
// Size: the list of all that a config may say.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/topic.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bulkhead::supervisor {

using Duration = std::chrono::nanoseconds;

enum class RestartPolicy : std::uint8_t { always, on_failure, never };
enum class LimitThen : std::uint8_t { half_open, stop, escalate, exit };
enum class ReadyType : std::uint8_t { exec, notify, port, fd };
enum class WorkerKind : std::uint8_t { service, oneshot, scheduled };
// Whose end ends the system: nobody's; that of one that failed for good; any that is not followed by a restart.
enum class Significant : std::uint8_t { no, failure, any_exit };
enum class DependsOn : std::uint8_t { started, ready, completed };
enum class GroupStrategy : std::uint8_t { one_for_one, one_for_all, rest_for_one };
enum class LinkType : std::uint8_t { channel, topic, queue };
enum class LogOverflow : std::uint8_t { drop, block };
enum class Sandbox : std::uint8_t { none, basic, strict };  // docs/design/sandbox.md
enum class Contain : std::uint8_t { none, pidns };          // docs/design/pid-namespace.md

struct Backoff {
  Duration initial = std::chrono::milliseconds(100);
  Duration max = std::chrono::seconds(10);
  double factor = 2;
  double jitter = 0.2;  // a delay is spread by +- this share
  Duration reset_after = std::chrono::seconds(10);
};

struct RestartLimit {
  std::uint32_t count = 10;  // at most restart_history_max
  Duration within = std::chrono::seconds(60);
  LimitThen then = LimitThen::half_open;
};
inline constexpr std::uint32_t restart_history_max = 100;

struct Restart {
  RestartPolicy policy = RestartPolicy::always;
  Backoff backoff;
  std::optional<RestartLimit> limit = RestartLimit{};  // nullopt: "none"
};

struct Stop {
  int signal = 15;
  Duration timeout = std::chrono::seconds(5);
};

struct Ready {
  ReadyType type = ReadyType::exec;
  Duration timeout = std::chrono::seconds(30);
  std::uint16_t port = 0;  // type port: 127.0.0.1:port accepts a connection
  int fd = -1;             // type fd: a newline on this descriptor of the worker
};

struct Logs {
  std::uint64_t max_size = std::uint64_t{16} << 20;
  std::uint32_t keep = 5;
  LogOverflow overflow = LogOverflow::drop;
  std::string directory;  // "" = <runtime dir>/<name>/logs
};

struct Limits {  // absent = not set
  std::optional<std::uint64_t> memory, nofile, core, pids;
  std::optional<Duration> cpu;
};

struct Affinity {
  enum class Kind : std::uint8_t { none, spread, fixed } kind = Kind::none;
  std::vector<int> cpus;  // fixed
};

struct Provided {
  std::string name;
  Transport transport = Transport::shm;
};

// Held by the keeper, and listening for as long as the system runs.
struct SocketConfig {
  std::string name;
  std::string listen;      // as it was written: "tcp:127.0.0.1:80", "unix:/run/api.sock"
  std::string host, path;  // of tcp: an address in numbers; of unix: absolute
  std::uint16_t port = 0;  // of tcp; 0: the kernel chooses, once
};

struct WorkerConfig {
  std::string name;
  std::vector<std::string> command;  // ${index} and ${env:NAME} not yet expanded
  std::string executable;            // absolute path of command[0]
  std::uint32_t instances = 1;
  std::uint32_t first_instance = 0;  // of one that is leaving; see running_config.hpp
  bool leaving = false;
  WorkerKind kind = WorkerKind::service;
  Duration every{};  // of a scheduled one
  Significant significant = Significant::no;
  Ready ready;
  Restart restart;
  Stop stop;
  Logs logs;
  std::optional<Duration> watchdog;
  std::map<std::string, DependsOn> depends_on;
  std::map<std::string, std::string> env;
  std::string working_dir;  // absolute
  std::string user;         // "" = ours
  Limits limits;
  Affinity affinity;
  std::optional<int> nice;
  Sandbox sandbox = Sandbox::none;
  Contain contain = Contain::none;
  std::uint32_t warm_spares = 0;  // processes of it that wait to become one of its instances
  bool runtime = true;  // false: a plain program, without control descriptor; may speak sd_notify
  std::vector<Provided> provides;
  std::vector<std::string> sockets;  // that it is given, as LISTEN_FDS in this order
  std::string config_json = "{}";    // handed to the worker as it stands
};

struct LinkConfig {
  std::string name;
  LinkType type = LinkType::channel;
  Transport transport = Transport::shm;
  std::string from;
  std::vector<std::string> to;        // one name unless a topic
  std::vector<TopicPolicy> policies;  // of a topic: beside `to`
  ChannelOptions options;
  std::uint16_t max_attempts = 3;         // of a queue
  std::optional<Duration> lease_timeout;  // of a queue
};

struct GroupConfig {
  std::string name;
  GroupStrategy strategy = GroupStrategy::one_for_one;
  std::vector<std::string> members;  // workers, and groups that no other group has
  std::optional<RestartLimit> limit = RestartLimit{};  // nullopt: "none"
};
inline constexpr std::size_t groups_max = 256;  // as many as the state region has room for

struct SystemConfig {
  std::string name;
  std::string path;                   // of the file, for messages
  std::string directory;              // paths in the config are relative to this
  std::vector<WorkerConfig> workers;  // in the file's order
  std::vector<LinkConfig> links;
  std::vector<GroupConfig> groups;
  std::vector<SocketConfig> sockets;
  std::uint32_t max_parallel_starts = 0;  // 0: twice the number of CPUs
  std::optional<SocketConfig> http;  // where the web process serves; none: there is no such process
  std::vector<std::string>
      http_hosts;  // names that it goes by, besides its addresses; in lower case

  // Of the config in force, not of who leaves; nullptr for an unknown one.
  const WorkerConfig* find_worker(std::string_view worker) const noexcept;
  const LinkConfig* find_link(std::string_view link) const noexcept;
  // All that the keeper holds: of workers, and of the web process.
  std::vector<SocketConfig> listeners() const;
};

// One finding. Lines and columns count from 1; columns are in bytes.
struct ConfigIssue {
  std::size_t line = 0, column = 0;
  std::string pointer;  // RFC 6901
  std::string what;     // "what is wrong (what was expected)"
};
std::string format_issue(const std::string& file, const ConfigIssue&);  // FILE:LINE:COL: /ptr: what

// What of the machine the checks may look at; `lenient` is for a brain that re-reads a config which
// `run` has validated already, when a file may have gone since.
struct ParseContext {
  std::string program_directory;  // where built-in workers lie and are found by bare name
  bool check_machine = true;      // executables, directories, users, descriptor limit
  std::map<std::string, std::uint32_t> scaled = {};  // by worker: instances instead of the text's
  bool check_ports =
      false;  // that nobody listens at supervisor.http; not where the system itself may
};

using ParsedConfig = std::variant<SystemConfig, std::vector<ConfigIssue>>;
ParsedConfig parse_config(const std::string& text, const std::string& path, const ParseContext&);

// Reads the file and parses it. One that cannot be read is an issue at 1:1.
struct LoadedConfig {
  std::string text;  // as it stood in the file
  ParsedConfig parsed;
};
LoadedConfig load_config(const std::string& path, const ParseContext&);

// The config with every default filled in, for `defaults --effective` and for tests.
nlohmann::ordered_json effective_json(const SystemConfig&);

// configs/schema.json as it was when this was built.
std::string_view config_schema() noexcept;

}  // namespace bulkhead::supervisor
