// Every key and every word that a config may contain, once: read by the parser, written by
// effective_json, and held against configs/schema.json by a test.
#pragma once

#include <array>
#include <csignal>

#include "supervisor/config_reader.hpp"

namespace bulkhead::supervisor::config_keys {

inline constexpr std::array system{Key{"$schema"},    Key{"version"}, Key{"name"},
                                   Key{"defaults"},   Key{"workers"}, Key{"links"},
                                   Key{"supervisor"}, Key{"groups"},  Key{"sockets"}};
inline constexpr std::array defaults{Key{"restart"}, Key{"stop"}, Key{"logs"}};
inline constexpr std::array restart{Key{"policy"}, Key{"backoff"}, Key{"limit"}};
inline constexpr std::array backoff{Key{"initial"}, Key{"max"}, Key{"factor"}, Key{"jitter"},
                                    Key{"reset_after"}};
inline constexpr std::array limit{Key{"count"}, Key{"within"}, Key{"then"}};
inline constexpr std::array stop{Key{"signal"}, Key{"timeout"}};
inline constexpr std::array logs{Key{"directory"}, Key{"max_size"}, Key{"keep"}, Key{"overflow"}};
inline constexpr std::array worker{
    Key{"command"}, Key{"instances"},   Key{"kind"},        Key{"every"},   Key{"significant"},
    Key{"ready"},   Key{"watchdog"},    Key{"depends_on"},  Key{"restart"}, Key{"stop"},
    Key{"logs"},    Key{"env"},         Key{"working_dir"}, Key{"user"},    Key{"limits"},
    Key{"cpu"},     Key{"runtime"},     Key{"provides"},    Key{"sockets"}, Key{"config"},
    Key{"sandbox"}, Key{"warm_spares"}, Key{"contain"}};
inline constexpr std::array ready{Key{"type"}, Key{"timeout"}, Key{"port"}, Key{"fd"}};
inline constexpr std::array watchdog{Key{"timeout"}};
inline constexpr std::array limits{Key{"memory"}, Key{"nofile"}, Key{"cpu"}, Key{"core"},
                                   Key{"pids"}};
inline constexpr std::array cpu{Key{"affinity"}, Key{"nice"}};
inline constexpr std::array provided{Key{"name"}, Key{"transport"}};
inline constexpr std::array group{Key{"strategy"}, Key{"members"}, Key{"limit"}};
inline constexpr std::array link{Key{"type"},         Key{"from"},         Key{"to"},
                                 Key{"transport"},    Key{"capacity"},     Key{"max_message"},
                                 Key{"wait"},         Key{"overflow"},     Key{"history"},
                                 Key{"max_attempts"}, Key{"lease_timeout"}};
inline constexpr std::array subscriber{Key{"worker"}, Key{"overflow"}, Key{"history"}};
inline constexpr std::array socket{Key{"listen"}};
inline constexpr std::array supervisor{Key{"max_parallel_starts"}, Key{"http"}, Key{"http_hosts"}};

struct Section {
  std::string_view name;  // as under "$defs" in the schema; "system" is the schema itself
  std::span<const Key> keys;
};
inline constexpr std::array<Section, 18> sections{{{"system", system},
                                                   {"defaults", defaults},
                                                   {"restart", restart},
                                                   {"backoff", backoff},
                                                   {"limit", limit},
                                                   {"stop", stop},
                                                   {"logs", logs},
                                                   {"worker", worker},
                                                   {"ready", ready},
                                                   {"watchdog", watchdog},
                                                   {"limits", limits},
                                                   {"cpu", cpu},
                                                   {"provided", provided},
                                                   {"group", group},
                                                   {"link", link},
                                                   {"subscriber", subscriber},
                                                   {"socket", socket},
                                                   {"supervisor", supervisor}}};

inline constexpr Named<RestartPolicy> restart_policy[] = {{"always", RestartPolicy::always},
                                                          {"on_failure", RestartPolicy::on_failure},
                                                          {"never", RestartPolicy::never}};
inline constexpr Named<LimitThen> limit_then[] = {{"half_open", LimitThen::half_open},
                                                  {"stop", LimitThen::stop},
                                                  {"escalate", LimitThen::escalate},
                                                  {"exit", LimitThen::exit}};
inline constexpr Named<GroupStrategy> group_strategy[] = {
    {"one_for_one", GroupStrategy::one_for_one},
    {"one_for_all", GroupStrategy::one_for_all},
    {"rest_for_one", GroupStrategy::rest_for_one}};
inline constexpr Named<ReadyType> ready_type[] = {{"exec", ReadyType::exec},
                                                  {"notify", ReadyType::notify},
                                                  {"port", ReadyType::port},
                                                  {"fd", ReadyType::fd}};
inline constexpr Named<WorkerKind> worker_kind[] = {{"service", WorkerKind::service},
                                                    {"oneshot", WorkerKind::oneshot},
                                                    {"scheduled", WorkerKind::scheduled}};
inline constexpr Named<Significant> significant[] = {{"no", Significant::no},
                                                     {"failure", Significant::failure},
                                                     {"any_exit", Significant::any_exit}};
inline constexpr Named<DependsOn> depends_on[] = {{"started", DependsOn::started},
                                                  {"ready", DependsOn::ready},
                                                  {"completed", DependsOn::completed}};
inline constexpr Named<LogOverflow> log_overflow[] = {{"drop", LogOverflow::drop},
                                                      {"block", LogOverflow::block}};
inline constexpr Named<LinkType> link_type[] = {
    {"channel", LinkType::channel}, {"topic", LinkType::topic}, {"queue", LinkType::queue}};
inline constexpr Named<Transport> transport[] = {{"shm", Transport::shm},
                                                 {"unix", Transport::unix_socket},
                                                 {"tcp", Transport::tcp},
                                                 {"pipe", Transport::pipe}};
inline constexpr Named<WaitMode> wait_mode[] = {
    {"adaptive", WaitMode::adaptive}, {"spin", WaitMode::spin}, {"block", WaitMode::block}};
inline constexpr Named<Overflow> overflow[] = {{"block", Overflow::block},
                                               {"drop_oldest", Overflow::drop_oldest},
                                               {"drop_newest", Overflow::drop_newest},
                                               {"conflate", Overflow::conflate}};
inline constexpr Named<int> stop_signal[] = {
    {"SIGTERM", SIGTERM},   {"SIGINT", SIGINT},   {"SIGQUIT", SIGQUIT}, {"SIGHUP", SIGHUP},
    {"SIGUSR1", SIGUSR1},   {"SIGUSR2", SIGUSR2}, {"SIGABRT", SIGABRT}, {"SIGALRM", SIGALRM},
    {"SIGWINCH", SIGWINCH}, {"SIGPWR", SIGPWR},   {"SIGKILL", SIGKILL}};

inline constexpr Named<Sandbox> sandbox[] = {
    {"none", Sandbox::none}, {"basic", Sandbox::basic}, {"strict", Sandbox::strict}};

inline constexpr Named<Contain> contain[] = {{"none", Contain::none}, {"pidns", Contain::pidns}};

// The word for a value: what read_enum would read.
template <class E, std::size_t N>
constexpr std::string_view word(const Named<E> (&names)[N], E value) {
  for (const auto& named : names) {
    if (named.value == value) return named.name;
  }
  return "?";
}

}  // namespace bulkhead::supervisor::config_keys
