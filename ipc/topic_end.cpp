#include "ipc/topic_end.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <limits>

#include "ipc/resend_window.hpp"
#include "ipc/topic_consumer.hpp"
#include "ipc/topic_reader.hpp"
#include "ipc/topic_record.hpp"
#include "ipc/topic_writer.hpp"

namespace bulkhead::ipc {
namespace {

Error unfit(const EndSpec& spec, const std::string& what) {
  return make_error(Errc::invalid_argument, spec.link + ": " + what);
}

Result<void> check(const EndSpec& spec) {
  const auto& options = spec.options;
  if (!spec.attention) return unfit(spec, "an end needs somebody who may interrupt it");
  if (!std::has_single_bit(options.capacity) || options.capacity < ring_capacity_min ||
      options.capacity > ring_capacity_max) {
    return unfit(spec, "capacity " + std::to_string(options.capacity) +
                           " is not a power of two of 4 KiB to 1 TiB");
  }
  if (options.max_message > topic_payload_max(options.capacity) ||
      options.max_message > std::numeric_limits<std::uint32_t>::max()) {
    return unfit(spec, "max_message " + std::to_string(options.max_message) + " is more than " +
                           std::to_string(topic_payload_max(options.capacity)) +
                           ", what a capacity of " + std::to_string(options.capacity) +
                           " can carry");
  }
  if (spec.topic->overflow == Overflow::conflate && spec.topic->history > 1) {
    return unfit(spec, "history " + std::to_string(spec.topic->history) +
                           " with conflate, of which only the newest message counts");
  }
  return {};
}

Error no_predecessor(const EndSpec& spec) {
  return make_error(Errc::protocol_violation,
                    spec.link + ": the segment of our predecessor is no topic at rest");
}

using Connections = std::unique_ptr<TopicConnections>;

Result<Connections> make_connections(Transport transport, const EndSpec& spec) {
  if (transport == Transport::shm) return Connections();
  base::UniqueFd bell;
  if (spec.side == Side::to) {
    bell = base::UniqueFd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!bell.is_open()) return errno_error(errno, "make an eventfd");
  }
  return std::make_unique<TopicConnections>(transport, spec.options, std::move(bell));
}

Result<std::shared_ptr<Endpoint>> open_writer(EndSpec spec, Connections connections) {
  std::uint64_t number = 0, dropped = 0;
  if (spec.predecessor.is_open()) {
    auto before = Segment::attach_peer(std::move(spec.predecessor));
    if (!before) return before.error();
    const auto committed = load_committed(before->page());
    if (!committed || before->facts().ring_capacity == 0) return no_predecessor(spec);
    number = last_given(before->page(), before->ring(), *committed);
    dropped = load_dropped(before->page());
  }
  auto segment = Segment::create({.name = spec.link,
                                  .epoch = spec.epoch,
                                  .ring_capacity = spec.options.capacity,
                                  .base_index = number,
                                  .survives_fork = spec.survives_fork});
  if (!segment) return segment.error();
  return Endpoint::share(std::make_unique<TopicWriter>(std::move(spec), std::move(*segment),
                                                       std::move(connections), dropped));
}

Result<std::shared_ptr<Endpoint>> open_reader(EndSpec spec, Connections connections) {
  TopicResume resume;
  if (spec.predecessor.is_open()) {
    auto before = Segment::attach_peer(std::move(spec.predecessor));
    if (!before) return before.error();
    const auto acknowledged = load_acknowledged(before->page());
    if (!acknowledged) return no_predecessor(spec);
    resume = {*acknowledged, load_taken(before->page()), load_redelivered(before->page()),
              load_dropped(before->page())};
  }
  auto segment = Segment::create(
      {.name = spec.link, .epoch = spec.epoch, .survives_fork = spec.survives_fork});
  if (!segment) return segment.error();
  return Endpoint::share(std::make_unique<TopicReader>(std::move(spec), std::move(*segment),
                                                       std::move(connections), resume));
}

}  // namespace

// The peer may have gone to sleep after it got our segment and before we got its own, or the doorbell: what we
// did in between was not rung for.
void TopicEnd::post(LinkUpdate update) {
  const auto kind = update.kind;
  if (kind == LinkUpdate::Kind::sockets) {
    post_sockets(std::move(update));
  } else {
    link_.roster.post(std::move(update));
  }
  if (connections_) connections_->ring();
  if (kind != LinkUpdate::Kind::peer_segment && kind != LinkUpdate::Kind::sockets) return;
  const auto peer = link_.roster.newest();
  if (!peer) return;
  const auto newest = link_.roster.doorbells();
  const auto* const bells = LivePeer::bells_of(peer.get(), newest.get());
  waker_barrier(Barrier::fences);
  EndPage& page = link_.segment.page();
  const auto wake = [bells](auto& futex, const auto& arming) {
    Ringer(futex).ring_if_asleep(arming, bells != nullptr ? &(bells->*bell) : nullptr);
  };
  wake(page.message_bell, peer->page().armed);
  wake(page.space_bell, peer->page().wants_space);
}

// The connection, where there is one, then the doorbells.
void TopicEnd::post_sockets(LinkUpdate update) {
  LinkUpdate bells{LinkUpdate::Kind::sockets, update.epoch, {}};
  const std::size_t carries = connections_ ? connections_->descriptors() : 0;
  if (update.fds.size() > carries) bells.fds.push_back(std::move(update.fds[carries]));
  if (connections_) {
    update.fds.resize(std::min(update.fds.size(), carries));
    connections_->post(std::move(update));
  }
  link_.roster.post(std::move(bells));
  if (connections_) link_.roster.nudge();
}

void TopicEnd::close() noexcept {
  // relaxed: one caller wins; nudge() publishes it to our own waiting thread.
  if (link_.closed.exchange(true, std::memory_order_relaxed)) return;
  link_.roster.nudge();
  EndPage& page = link_.segment.page();
  const auto use = [this] { return use_here_or_elsewhere(); };
  if (!link_.spec.attention->let_go(use)) return close_connections();
  // sync page.closed: release; pairs with LivePeer::has_closed; publishes all that we committed
  page.closed.store(1, std::memory_order_release);
  ring(page.message_bell);
  ring(page.space_bell);
  if (const auto bells = link_.roster.doorbells()) Doorbells::ring(*bells.*bell);
  close_connections();  // whose end wakes who sleeps on one
}

EndUse TopicEnd::use_here_or_elsewhere() const noexcept {
  return use_of_end(was_used(), link_.segment.page(), link_.segment.ring());
}

void TopicEnd::close_connections() noexcept {
  if (!connections_) return;
  let_go_of_connection();
  connections_->close();
  connections_->ring();
}

void TopicEnd::leave() noexcept {
  if (was_used()) return close();
  // relaxed: as in close()
  if (link_.closed.exchange(true, std::memory_order_relaxed)) return;
  link_.roster.nudge();
  // Another process may have used it and died since: that is no farewell either.
  const auto use = [this] { return use_here_or_elsewhere(); };
  static_cast<void>(link_.spec.attention->let_go(use));
  close_connections();
}

Result<std::shared_ptr<Endpoint>> open_topic_end(Transport transport, EndSpec spec) {
  auto& options = spec.options;
  // As with channels: beside shm any capacity will do.
  if (transport != Transport::shm && options.max_message <= ring_capacity_max / 4) {
    options.capacity = ResendWindow::bytes_for(options.capacity, options.max_message);
  }
  if (const auto fits = check(spec); !fits) return fits.error();
  auto connections = make_connections(transport, spec);
  if (!connections) return connections.error();
  return spec.side == Side::from ? open_writer(std::move(spec), std::move(*connections))
                                 : open_reader(std::move(spec), std::move(*connections));
}

}  // namespace bulkhead::ipc
