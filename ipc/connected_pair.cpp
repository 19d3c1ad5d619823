// Both ends of a channel without a supervisor: plays the brain's part once, at the start, and leaves
// the rest to PairAttention.
#include "ipc/endpoint.hpp"
#include "ipc/pair_attention.hpp"

namespace bulkhead {
namespace {

using ipc::Endpoint;
using ipc::LinkUpdate;
using ipc::Side;

Result<std::shared_ptr<Endpoint>> open_end(Transport transport, Side side,
                                           const ChannelOptions& options,
                                           const std::shared_ptr<ipc::PairAttention>& attention) {
  ipc::EndSpec spec;
  spec.link = "pair";
  spec.side = side;
  spec.peer_life = ipc::PeerLife::single;
  spec.options = options;
  spec.survives_fork = true;
  spec.attention = attention;
  auto endpoint = ipc::open_endpoint(transport, std::move(spec));
  // The others see the end of their own connection.
  if (endpoint && transport == Transport::shm) attention->watch(*endpoint);
  return endpoint;
}

Result<void> introduce(const Endpoint& one, Endpoint& other, std::vector<base::UniqueFd> sockets) {
  auto segment = base::duplicate(one.segment_fd());
  if (!segment) return segment.error();
  LinkUpdate memory{LinkUpdate::Kind::peer_segment, 1, {}};
  memory.fds.push_back(std::move(*segment));
  other.post(std::move(memory));
  other.post({LinkUpdate::Kind::sockets, 1, std::move(sockets)});
  return {};
}

}  // namespace

Result<std::pair<Channel, Channel>> connected_pair(Transport transport, ChannelOptions options) {
  auto attention = ipc::PairAttention::make();
  if (!attention) return attention.error();
  auto from = open_end(transport, Side::from, options, attention->from);
  if (!from) return from.error();
  auto to = open_end(transport, Side::to, options, attention->to);
  if (!to) return to.error();
  auto sockets = ipc::make_sockets(transport);
  if (!sockets) return sockets.error();
  if (auto met = introduce(**to, **from, std::move(sockets->from)); !met) return met.error();
  if (auto met = introduce(**from, **to, std::move(sockets->to)); !met) return met.error();
  return std::pair{Channel(std::move(*from)), Channel(std::move(*to))};
}

}  // namespace bulkhead
