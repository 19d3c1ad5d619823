// The vocabulary of the control protocol (docs/design/control-protocol.md): versions, methods, the messages as plain
// structs. Where workers and supervisor meet; does not know what they do with a message, nor sends one (control_packet.hpp).
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/error.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "ipc/control_packet.hpp"
#include "ipc/endpoint.hpp"
#include "ipc/json_rpc.hpp"

namespace bulkhead::ipc {

inline constexpr std::uint16_t protocol_major = 1;  // another major: the ends do not talk
inline constexpr std::uint16_t protocol_minor = 0;

// Changes with the size or an offset of anything that two processes share in memory or send as raw
// bytes, so that ends of different builds refuse each other at hello and not at the first message.
[[nodiscard]] std::uint64_t layout_hash() noexcept;

namespace method {
inline constexpr std::string_view hello = "hello";
// worker -> brain
inline constexpr std::string_view ready = "ready", status = "status", link_offer = "link.offer",
                                  link_closed = "link.closed", service_connect = "service.connect";
// brain -> worker
inline constexpr std::string_view link_open = "link.open", link_kept = "link.kept",
                                  link_peer = "link.peer", stop = "stop", resync = "resync";
// command line -> brain (also hello, status, stop, service.connect); `event` goes the other way
inline constexpr std::string_view kill = "kill", start = "start", restart = "restart",
                                  events = "events", event = "event", logs = "logs",
                                  incidents = "incidents", why = "why",
                                  wait_settled = "wait_settled", shutdown = "shutdown";
inline constexpr std::string_view config = "config", plan = "plan", reload = "reload",
                                  scale = "scale";
}  // namespace method

// The descriptor that the message's params.fds or result.fds calls `name`, taken out of the packet.
// Errors: protocol_violation when it names none, or the descriptor did not come along or was taken.
[[nodiscard]] Result<base::UniqueFd> fd_named(Packet&, std::string_view name);
// All descriptors in order, once `fds` in the message names exactly as many.
[[nodiscard]] Result<std::vector<base::UniqueFd>> take_fds(Packet&);

// Each struct below: encode() makes params (or a result) out of it, decode<T>() checks and reads
// them. Descriptors ride in the packet; encode() names them in `fds`, in the order stated here.

struct Versions {  // inside every hello and its answer to a client
  std::uint16_t major = protocol_major, minor = protocol_minor;
  std::uint64_t layout = layout_hash();
};
// Errors: version_mismatch, naming both versions.
Result<void> check_versions(const Versions& theirs, std::string_view who);

struct HelloWorker {  // fds: beat. A spare's is answered when it becomes an instance
  Versions versions;
  std::uint32_t generation = 0;
};
struct HelloAnswer {  // fds: attention; crash, where set; output, where there is a cookie
  std::string name, worker;
  std::uint32_t index = 0, generation = 0;
  Json config;
  std::uint32_t links = 0;        // how many link.open follow
  std::uint64_t watchdog_ms = 0;  // 0: nobody watches the beat
  std::vector<std::string> provides;
  bool crash = false;  // somebody keeps crash reports
  std::string cookie;  // to one that was a spare: "NAME=VALUE", for its environment
};
struct HelloClient {
  Versions versions;
};
struct HelloClientAnswer {
  Versions versions;
  std::string system;
  int brain_pid = 0, keeper_pid = 0;
};
enum class HelloRole : std::uint8_t { worker, client };
[[nodiscard]] Result<HelloRole> hello_role(const Json& params);

struct Ready {
  std::uint32_t generation = 0;
};
enum class LinkRole : std::uint8_t { from, to, client, server };
struct LinkOpen {  // fds: predecessor, journal and lease, where those are set
  std::string pair, link;
  LinkRole role = LinkRole::from;
  std::string service;  // of a session; "" otherwise
  Side side = Side::from;
  std::string peer;
  std::uint32_t peer_generation = 0;
  std::uint16_t epoch = 1;
  Transport transport = Transport::shm;
  ChannelOptions options;            // on the wire: capacity, max_message, wait
  std::optional<TopicPolicy> topic;  // on the wire: {overflow, history}
  bool session = false;
  std::uint16_t max_attempts = 0;  // of a queue; 0: it is none
  std::uint16_t workers = 0;  // of a queue: how many; one of a higher number is gone. 0: not said
  bool predecessor = false, journal = false, lease = false;
};
struct LinkPeer {  // fds: as named in `fds`: "segment", or the parts of a connection in order
  std::string pair;
  std::uint16_t epoch = 0;  // of the peer
  LinkUpdate::Kind kind = LinkUpdate::Kind::peer_segment;
  std::vector<std::string> fds;
};
struct LinkOffer {  // fds: segment
  std::string pair;
  std::uint16_t epoch = 0;
};
struct LinkKept {  // the segment of this incarnation outlives it from now on
  std::string pair;
  std::uint16_t epoch = 0;
};
struct LinkClosed {
  std::string pair;
  std::uint16_t epoch = 0;
};
struct ServiceConnect {
  std::string service;
  std::uint64_t timeout_ms = 0;
};
struct ServiceConnectAnswer {  // fds: socket, when `transport` is set (only for clients)
  std::string pair;
  std::string transport;  // "" for a worker, which gets a link.open
};
struct Stop {
  std::uint64_t timeout_ms = 0;
};

enum class WorkerPhase : std::uint8_t { starting, ready, stopping };
struct ResyncAnswer {
  struct Link {
    std::string pair;
    std::uint16_t epoch = 0;
  };
  struct Session {
    std::string pair;
    std::uint16_t epoch = 0;
    std::string peer;
    std::uint32_t peer_generation = 0;
  };
  std::uint32_t generation = 0;
  WorkerPhase phase = WorkerPhase::starting;
  std::vector<Link> links;
  std::vector<Session> sessions;
};

[[nodiscard]] Json encode(const HelloWorker&);
[[nodiscard]] Json encode(const HelloAnswer&);
[[nodiscard]] Json encode(const HelloClient&);
[[nodiscard]] Json encode(const HelloClientAnswer&);
[[nodiscard]] Json encode(const Ready&);
[[nodiscard]] Json encode(const LinkOpen&);
[[nodiscard]] Json encode(const LinkPeer&);
[[nodiscard]] Json encode(const LinkOffer&);
[[nodiscard]] Json encode(const LinkKept&);
[[nodiscard]] Json encode(const LinkClosed&);
[[nodiscard]] Json encode(const ServiceConnect&);
[[nodiscard]] Json encode(const ServiceConnectAnswer&);
[[nodiscard]] Json encode(const Stop&);
[[nodiscard]] Json encode(const ResyncAnswer&);

// Errors: protocol_violation naming message and field. Unknown fields are ignored.
template <class T>
[[nodiscard]] Result<T> decode(const Json& params) = delete;
template <>
Result<HelloWorker> decode(const Json&);
template <>
Result<HelloAnswer> decode(const Json&);
template <>
Result<HelloClient> decode(const Json&);
template <>
Result<HelloClientAnswer> decode(const Json&);
template <>
Result<Ready> decode(const Json&);
template <>
Result<LinkOpen> decode(const Json&);
template <>
Result<LinkPeer> decode(const Json&);
template <>
Result<LinkOffer> decode(const Json&);
template <>
Result<LinkKept> decode(const Json&);
template <>
Result<LinkClosed> decode(const Json&);
template <>
Result<ServiceConnect> decode(const Json&);
template <>
Result<ServiceConnectAnswer> decode(const Json&);
template <>
Result<Stop> decode(const Json&);
template <>
Result<ResyncAnswer> decode(const Json&);

}  // namespace bulkhead::ipc
