// All ends of a topic without a supervisor: plays the brain's part once, at the start, and leaves the rest
// to PairAttention.
#include <algorithm>

#include "ipc/pair_attention.hpp"
#include "ipc/topic_end.hpp"

namespace bulkhead {
namespace {

using ipc::Endpoint;
using ipc::LinkUpdate;
using ipc::Side;

Result<std::shared_ptr<Endpoint>> open_end(Transport transport, Side side,
                                           const TopicOptions& options,
                                           const std::shared_ptr<ipc::PairAttention>& attention) {
  ipc::EndSpec spec;
  spec.link = "topic";
  spec.side = side;
  spec.peer_life = ipc::PeerLife::single;
  spec.options = {options.capacity, options.max_message, options.wait};
  spec.topic = options.policy;
  spec.survives_fork = true;
  spec.attention = attention;
  auto endpoint = ipc::open_topic_end(transport, std::move(spec));
  if (endpoint) attention->watch(*endpoint);
  return endpoint;
}

Result<void> introduce(const Endpoint& one, Endpoint& other) {
  auto segment = base::duplicate(one.segment_fd());
  if (!segment) return segment.error();
  LinkUpdate memory{LinkUpdate::Kind::peer_segment, 1, {}};
  memory.fds.push_back(std::move(*segment));
  other.post(std::move(memory));
  return {};
}

}  // namespace

Result<ConnectedTopic> connected_topic(Transport transport,
                                       std::span<const TopicOptions> subscribers) {
  if (subscribers.empty()) {
    return make_error(Errc::invalid_argument, "a topic needs a subscriber: pass options for one");
  }
  const auto differs = [&](const TopicOptions& options) {
    return options.max_message != subscribers.front().max_message;
  };
  if (std::any_of(subscribers.begin(), subscribers.end(), differs)) {
    return make_error(Errc::invalid_argument, "subscribers of one topic have one max_message");
  }
  std::vector<std::shared_ptr<Endpoint>> writers;
  std::vector<Topic> readers;
  for (const TopicOptions& options : subscribers) {
    auto attention = ipc::PairAttention::make();
    if (!attention) return attention.error();
    auto from = open_end(transport, Side::from, options, attention->from);
    if (!from) return from.error();
    auto to = open_end(transport, Side::to, options, attention->to);
    if (!to) return to.error();
    if (auto met = introduce(**to, **from); !met) return met.error();
    if (auto met = introduce(**from, **to); !met) return met.error();
    auto sockets = ipc::make_sockets(transport);
    if (!sockets) return sockets.error();
    (*from)->post({LinkUpdate::Kind::sockets, 1, std::move(sockets->from)});
    (*to)->post({LinkUpdate::Kind::sockets, 1, std::move(sockets->to)});
    writers.push_back(std::move(*from));
    std::vector<std::shared_ptr<Endpoint>> reader;
    reader.push_back(std::move(*to));
    readers.emplace_back(std::move(reader));
  }
  return ConnectedTopic{Topic(std::move(writers)), std::move(readers)};
}

Result<ConnectedTopic> connected_topic(Transport transport, const TopicOptions& options,
                                       std::size_t subscribers) {
  return connected_topic(transport, std::vector<TopicOptions>(subscribers, options));
}

}  // namespace bulkhead
