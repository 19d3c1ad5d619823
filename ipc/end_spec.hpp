// What an end of a link needs to come to life, and what is said to it about its peer from then on. Used by every
// transport and by whoever opens ends; knows no transport.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/topic.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "ipc/attention.hpp"

namespace bulkhead::ipc {

enum class Side : std::uint8_t { from = 0, to = 1 };
constexpr Side other(Side side) noexcept { return side == Side::from ? Side::to : Side::from; }

// Whether a dead peer is going to be replaced: then its death is no error, only a new epoch.
enum class PeerLife : std::uint8_t { replaced, single };

// Everything that an end needs to come to life. Descriptors are owned.
struct EndSpec {
  std::string link;  // for error messages and as the segment's name
  std::string peer;  // the other end's instance, "" without a supervisor
  Side side = Side::from;
  std::uint16_t epoch = 1;  // our incarnation on this link
  PeerLife peer_life = PeerLife::replaced;
  ChannelOptions options;
  std::optional<TopicPolicy> topic;  // of a topic: the policy of the subscriber, on both sides
  base::UniqueFd predecessor;  // the segment of our own previous incarnation, if there was one
  // A pair without a supervisor may be split by fork(): its memory must then reach the child.
  bool survives_fork = false;
  std::shared_ptr<Attention> attention;
};

// What changes about the peer. Posted from any thread; the endpoint applies it in its own calls.
struct LinkUpdate {
  enum class Kind : std::uint8_t {
    peer_segment,  // fds[0]: the segment of the peer's incarnation `epoch`
    peer_died,     // incarnation `epoch` is dead for certain; drain what it committed
    sockets,  // a fresh connection to incarnation `epoch`: what make_sockets() made for this end
    peer_closed,  // incarnation `epoch` let go of the link on purpose; or there will never be a peer
  };
  Kind kind;
  std::uint16_t epoch = 0;
  std::vector<base::UniqueFd> fds;
};

}  // namespace bulkhead::ipc
