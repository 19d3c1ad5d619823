// Life and links of a SocketEndpoint: opening, what the supervisor posts, closing.
//
// | tag             | writer                | reader                  | visible after it            |
// |-----------------|-----------------------|-------------------------|-----------------------------|
// | socket.closed   | close()               | both threads            | that the end is closed      |
// | socket.verdict  | whoever finds the end | both threads            | how the link ended          |
// | socket.version  | post()                | both threads            | that there is news of links |
// | socket.gone     | post()                | the receiving thread    | the peer writes no more     |
// | socket.in_step  | the sending thread    | the peer's receiver     | all that was committed      |
// | page.closed     | close()               | the peer, both threads  | all that was committed      |
// The first four are private memory of one process: a kill in between leaves nothing behind. The last two
// lie in our page: killed before the store, the receiver hears of our death and reads the window to its end.
#include "ipc/socket_endpoint.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string>
#include <utility>

#include "ipc/epoch.hpp"

namespace bulkhead::ipc {
namespace {

Result<base::UniqueFd> make_bell() {
  base::UniqueFd bell{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!bell.is_open()) return errno_error(errno, "make an eventfd");
  return bell;
}

}  // namespace

Result<std::shared_ptr<Endpoint>> open_socket_endpoint(Transport transport, EndSpec spec) {
  const auto& options = spec.options;
  if (options.max_message == 0 ||
      options.max_message > std::numeric_limits<std::uint32_t>::max() / 2) {
    return make_error(Errc::invalid_argument, "link '" + spec.link + "': max_message of " +
                                                  std::to_string(options.max_message) +
                                                  " bytes (1 byte to 2 GiB)");
  }
  const auto succession = take_over(spec);
  if (!succession) return succession.error();
  auto segment = Segment::create(
      {.name = spec.link,
       .epoch = spec.epoch,
       .ring_capacity = ResendWindow::bytes_for(options.capacity, options.max_message),
       .base_index = succession->base_index,
       .survives_fork = spec.survives_fork});
  if (!segment) return segment.error();
  store_resume(segment->page(), succession->resume);
  auto send_bell = make_bell();
  if (!send_bell) return send_bell.error();
  auto receive_bell = make_bell();
  if (!receive_bell) return receive_bell.error();
  return Endpoint::share(std::make_unique<SocketEndpoint>(
      SocketEndpoint::Parts{transport, std::move(spec), std::move(*segment), std::move(*send_bell),
                            std::move(*receive_bell), succession->resume}));
}

SocketEndpoint::SocketEndpoint(Parts parts)
    : transport_(parts.transport),
      spec_(std::move(parts.spec)),
      segment_(std::move(parts.segment)),
      send_bell_(std::move(parts.send_bell)),
      receive_bell_(std::move(parts.receive_bell)),
      resume_(parts.resume),
      committed_(segment_.facts().base_index),
      window_(segment_),
      last_index_(resume_.acknowledged.count),
      ledger_(resume_.acknowledged.count),
      taken_before_(resume_),
      first_held_(resume_.acknowledged.count + 1),
      ringer_(segment_.page().space_bell),
      roster_(spec_.survives_fork) {}

// Whatever the news is, what is committed and unsent goes to the newest connection at once: perhaps nobody
// calls this end for a long time.
void SocketEndpoint::post(LinkUpdate update) {
  switch (update.kind) {
    case LinkUpdate::Kind::sockets: post_sockets(std::move(update)); break;
    case LinkUpdate::Kind::peer_segment: post_segment(std::move(update)); break;
    case LinkUpdate::Kind::peer_died:
    case LinkUpdate::Kind::peer_closed: post_gone(std::move(update)); break;
  }
  pump_news();
  ring_bells();
}

// By links_: the first that is heard of an incarnation ends what was known of those before it.
void SocketEndpoint::begin_incarnation(std::uint16_t epoch) noexcept {
  if (newest_epoch_ != 0 && is_newer(newest_epoch_, epoch)) return;
  if (epoch != newest_epoch_) peer_closed_ = peer_died_ = false;
  newest_epoch_ = epoch;
}

// A brain that was restarted may say again what is known: a second connection to the same
// incarnation counts only when the first has lost its other end.
void SocketEndpoint::post_sockets(LinkUpdate update) {
  const std::lock_guard links(links_);
  // sync socket.closed: acquire; pairs with close(); a closed end takes no more connections
  if (closed_.load(std::memory_order_acquire)) return;
  if (newest_ && (is_newer(newest_->peer_epoch, update.epoch) ||
                  (update.epoch == newest_->peer_epoch && !newest_->is_cut()))) {
    return;
  }
  base::UniqueFd bell;
  if (update.fds.size() > descriptors_of(transport_)) {
    bell = std::move(update.fds.back());
    update.fds.pop_back();
  }
  auto wire = open_wire(transport_, std::move(update.fds), spec_.options);
  if (!wire) return violate();
  auto connection = std::make_shared<SocketConnection>(
      std::move(*wire), FrameExpectation{spec_.options.max_message, update.epoch, 0}, pool_);
  connection->bell = std::move(bell);
  const auto page = roster_.newest();
  connection->bare = is_single() && (!page || page->facts().epoch != update.epoch);
  if (newest_) {
    // sync socket.gone: release; pairs with source_is_finished(); the old incarnation wrote its last before this
    newest_->peer_gone.store(true, std::memory_order_release);
    // One that was cut is of no more use to an end that never receives either.
    if (newest_->peer_epoch == update.epoch && !newest_->bare) std::erase(arrived_, newest_);
  }
  ring_for_space(*connection);
  newest_ = connection;
  arrived_.push_back(std::move(connection));
  begin_incarnation(update.epoch);
  peer_epoch_.store(update.epoch, std::memory_order_relaxed);  // relaxed: a figure for the user
  // sync socket.version: release; pairs with adopt_newest(); publishes nothing but the news itself
  version_.fetch_add(1, std::memory_order_release);
}

// Without a lock, because whoever hears of it may be posting to us meanwhile. Not of a connection that has been replaced, or
// of a peer of which everything is known.
void SocketEndpoint::tell_cut() noexcept {
  // relaxed: a note of ours to ourselves; the connection itself is looked at under the lock
  if (cut_.load(std::memory_order_relaxed) == 0) return;
  const std::uint16_t peer = cut_.exchange(0, std::memory_order_relaxed);  // relaxed: as above
  {
    const std::lock_guard links(links_);
    if (peer_died_ || peer_closed_ || !newest_ || newest_->peer_epoch != peer) return;
    if (!newest_->is_cut()) return;
  }
  spec_.attention->cut(peer);
}

// The peer may wait for room that we made before we had its bell.
void SocketEndpoint::ring_for_space(const SocketConnection& connection) noexcept {
  const auto peer = roster_.newest();
  if (!peer) return;
  waker_barrier(Barrier::fences);
  Ringer(segment_.page().space_bell).ring_if_asleep(peer->page().wants_space, &connection.bell);
}

void SocketEndpoint::post_segment(LinkUpdate update) {
  const std::uint16_t epoch = update.epoch;
  const std::lock_guard links(links_);
  roster_.post(std::move(update));
  if (epoch != 0 && (newest_epoch_ == 0 || is_newer(epoch, newest_epoch_))) {
    begin_incarnation(epoch);
    peer_epoch_.store(epoch, std::memory_order_relaxed);  // relaxed: a figure for the user
  }
  // sync socket.version: release; pairs with adopt_newest(); publishes nothing but the news itself
  version_.fetch_add(1, std::memory_order_release);
}

void SocketEndpoint::post_gone(LinkUpdate update) {
  const auto kind = update.kind;
  const std::uint16_t epoch = update.epoch;
  const std::lock_guard links(links_);
  roster_.post(std::move(update));
  if (newest_epoch_ == 0 || !is_newer(newest_epoch_, epoch)) {
    peer_epoch_.store(0, std::memory_order_relaxed);  // relaxed: a figure for the user
    if (newest_) {
      // sync socket.gone: release; pairs with source_is_finished(); the peer wrote its last before this
      newest_->peer_gone.store(true, std::memory_order_release);
    }
    if (kind == LinkUpdate::Kind::peer_closed) peer_closed_ = true;
    peer_died_ = true;
  }
  // sync socket.version: release; pairs with adopt_newest(); publishes nothing but the news itself
  version_.fetch_add(1, std::memory_order_release);
}

void SocketEndpoint::violate() noexcept {
  counters_.violations.fetch_add(1, std::memory_order_relaxed);  // relaxed: a counter
}

void SocketEndpoint::close() noexcept {
  // sync socket.closed: acq_rel; pairs with both threads' loops; the first caller closes
  if (closed_.exchange(true, std::memory_order_acq_rel)) return;
  // After a fork the other process may hold the same end and go on using it: then only our
  // descriptors go.
  const auto use = [this] { return use_of_end(used_here(), segment_.page(), segment_.ring()); };
  const bool for_good = !spec_.attention || spec_.attention->let_go(use);
  ring_bells();
  const std::scoped_lock both(sending_, receiving_);
  if (for_good) {
    adopt_newest();
    // sync page.closed: release; pairs with LivePeer::has_closed; publishes all that we committed
    segment_.page().closed.store(1, std::memory_order_release);
    say_goodbye();
  }
  const std::lock_guard links(links_);
  out_.reset();
  in_.reset();
  ours_.reset();
  newest_.reset();
  arrived_.clear();
}

// Wakes the other end, and tells it, where no page does, that this is no death. A full buffer is given
// room for it. What the kernel does not take then is in the window, and the end of the connection wakes too.
void SocketEndpoint::say_goodbye() noexcept {
  if (!out_ || (!out_->bare && pump() != Pumped::all) || !out_) return;
  // relaxed: our own counter, and the sending lock is held.
  const auto last = committed_.load(std::memory_order_relaxed);
  const auto header = make_frame_header(FrameKind::close, spec_.epoch, last, 0);
  auto& writer = out_->writer;
  if (writer.write(*out_->wire, header, {}) != WriteStatus::blocked) return;
  out_->wire->make_room(writer.backlog_bytes() + 2 * packet_payload_max);
  static_cast<void>(writer.write(*out_->wire, header, {}));
}

std::uint16_t SocketEndpoint::peer_epoch() const noexcept {
  return peer_epoch_.load(std::memory_order_relaxed);  // relaxed: a figure for the user
}

// The lock: whoever hears of a death here finds the version moved, and so looks at the window to its end.
bool SocketEndpoint::peer_is_dead(std::uint16_t epoch) const noexcept {
  const std::lock_guard links(links_);
  return roster_.is_dead(epoch);
}

std::uint64_t SocketEndpoint::last_committed() const noexcept {
  return committed_.load(
      std::memory_order_relaxed);  // relaxed: written by the sending thread alone
}

ChannelStats SocketEndpoint::stats() const noexcept {
  ChannelStats stats;
  stats.sent = counters_.sent.get();
  stats.received = counters_.received.get();
  stats.redelivered = counters_.redelivered.get();
  stats.bytes_sent = counters_.bytes_sent.get();
  stats.bytes_received = counters_.bytes_received.get();
  stats.sleeps = counters_.send_sleeps.get() + counters_.receive_sleeps.get();
  stats.wakes = ringer_.wakes();
  stats.safety_net = counters_.send_safety_net.get() + counters_.receive_safety_net.get();
  // relaxed: a counter
  stats.violations = counters_.violations.load(std::memory_order_relaxed) + roster_.violations();
  // The peer's own figure, so at most what we have sent ourselves.
  if (const auto peer = roster_.newest()) {
    const auto acknowledged = load_acknowledged(peer->page());
    const std::uint64_t before = segment_.facts().base_index;
    if (acknowledged && acknowledged->count > before) {
      stats.acknowledged = std::min(acknowledged->count - before, stats.sent);
    }
  }
  return stats;
}

Error SocketEndpoint::fail(Errc code, const char* what) const {
  std::string context = "link '" + spec_.link + "'";
  if (!spec_.peer.empty()) context += " to " + spec_.peer;
  return make_error(code, std::move(context) + ": " + what);
}

Error SocketEndpoint::fail(Verdict verdict) const {
  switch (verdict) {
    case Verdict::closed: return fail(Errc::closed, "the other end closed it");
    case Verdict::died: return fail(Errc::peer_died, "the process at the other end is gone");
    case Verdict::violated:
      return fail(Errc::protocol_violation, "dropped because of what the other end sent");
    case Verdict::open: break;
  }
  return fail(Errc::closed, "this end is closed");
}

}  // namespace bulkhead::ipc
