// Life and links of a SocketEndpoint: opening, what the supervisor posts, closing.
//
// | tag             | writer                | reader                  | visible after it            |
// |-----------------|-----------------------|-------------------------|-----------------------------|
// | socket.closed   | close()               | both threads            | that the end is closed      |
// | socket.verdict  | whoever finds the end | both threads            | how the link ended          |
// | socket.version  | post()                | the sending thread      | that links_ holds news      |
// | socket.gone     | post()                | the receiving thread    | the peer writes no more     |
// Everything else is guarded by the lock named beside it. All of it is private memory of one process:
// a kill in between leaves nothing behind.
#include "ipc/socket_endpoint.hpp"

#include <sys/eventfd.h>

#include <cerrno>
#include <limits>
#include <string>
#include <utility>

#include "ipc/peer_roster.hpp"

namespace bulkhead::ipc {
namespace {

struct Inheritance {
  std::uint64_t committed = 0;
  Acknowledged acknowledged;
};

// What our previous incarnation got done. A page that was never written says zero.
Result<Inheritance> inherit(base::UniqueFd predecessor) {
  Inheritance found;
  if (!predecessor.is_open()) return found;
  auto page = Segment::attach_peer(std::move(predecessor));
  if (!page) return page.error();
  // Nobody writes any more, so a pair that does not hold still was never whole.
  if (const auto committed = load_committed(page->page())) found.committed = committed->count;
  if (const auto acked = load_acknowledged(page->page())) found.acknowledged = *acked;
  return found;
}

Result<base::UniqueFd> make_bell() {
  base::UniqueFd bell{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!bell.is_open()) return errno_error(errno, "make an eventfd");
  return bell;
}

}  // namespace

Result<std::shared_ptr<Endpoint>> open_socket_endpoint(Transport transport, EndSpec spec) {
  if (spec.options.max_message == 0 ||
      spec.options.max_message > std::numeric_limits<std::uint32_t>::max() / 2) {
    return make_error(Errc::invalid_argument, "link '" + spec.link + "': max_message of " +
                                                  std::to_string(spec.options.max_message) +
                                                  " bytes (1 byte to 2 GiB)");
  }
  auto inherited = inherit(std::move(spec.predecessor));
  if (!inherited) return inherited.error();
  auto segment = Segment::create({.name = spec.link,
                                  .epoch = spec.epoch,
                                  .ring_capacity = 0,
                                  .base_index = inherited->committed,
                                  .survives_fork = spec.survives_fork});
  if (!segment) return segment.error();
  // A successor that dies before its first message must not look as if the link began anew.
  store_committed(segment->page(), {inherited->committed, inherited->committed});
  store_taken(segment->page(), inherited->acknowledged.cursor);
  store_acknowledged(segment->page(), inherited->acknowledged);
  auto send_bell = make_bell();
  if (!send_bell) return send_bell.error();
  auto receive_bell = make_bell();
  if (!receive_bell) return receive_bell.error();
  return Endpoint::share(std::make_unique<SocketEndpoint>(SocketEndpoint::Parts{
      transport, std::move(spec), std::move(*segment), std::move(*send_bell),
      std::move(*receive_bell), inherited->committed, inherited->acknowledged}));
}

SocketEndpoint::SocketEndpoint(Parts parts)
    : transport_(parts.transport),
      spec_(std::move(parts.spec)),
      segment_(std::move(parts.segment)),
      send_bell_(std::move(parts.send_bell)),
      receive_bell_(std::move(parts.receive_bell)),
      // The cursor is the index after the last acknowledged message; zero when there was none.
      resume_point_(std::max<std::uint64_t>(parts.acknowledged.cursor.position, 1)),
      committed_(parts.committed),
      acknowledged_before_(parts.acknowledged.count) {}

void SocketEndpoint::post(LinkUpdate update) {
  switch (update.kind) {
    case LinkUpdate::Kind::sockets: post_sockets(std::move(update)); break;
    case LinkUpdate::Kind::peer_segment: post_segment(std::move(update)); break;
    case LinkUpdate::Kind::peer_died:
    case LinkUpdate::Kind::peer_closed: post_gone(update); break;
  }
  ring_bells();
}

// A brain that was restarted may say again what is known: a second connection to the same
// incarnation counts only when the first has lost its other end.
void SocketEndpoint::post_sockets(LinkUpdate update) {
  const std::lock_guard links(links_);
  // sync socket.closed: acquire; pairs with close(); a closed end takes no more connections
  if (closed_.load(std::memory_order_acquire)) return;
  if (newest_ && (is_newer(newest_->peer_epoch, update.epoch) ||
                  (update.epoch == newest_->peer_epoch && !newest_->wire->hung_up()))) {
    return;
  }
  auto wire = open_wire(transport_, std::move(update.fds), spec_.options);
  if (!wire) return violate();
  auto connection = std::make_shared<Connection>(
      std::move(*wire), FrameExpectation{spec_.options.max_message, update.epoch, 0}, pool_);
  if (newest_) {
    // sync socket.gone: release; pairs with is_drained(); the old incarnation wrote its last before this
    newest_->peer_gone.store(true, std::memory_order_release);
  }
  newest_ = connection;
  arrived_.push_back(std::move(connection));
  peer_closed_ = peer_died_ = false;
  peer_epoch_.store(update.epoch, std::memory_order_relaxed);  // relaxed: a figure for the user
  // sync socket.version: release; pairs with adopt_newest(); publishes nothing but the news itself
  version_.fetch_add(1, std::memory_order_release);
}

void SocketEndpoint::post_gone(const LinkUpdate& update) {
  const std::lock_guard links(links_);
  if (newest_ && is_newer(newest_->peer_epoch, update.epoch)) return;
  peer_epoch_.store(0, std::memory_order_relaxed);  // relaxed: a figure for the user
  if (newest_) {
    // sync socket.gone: release; pairs with is_drained(); the peer wrote its last before this
    newest_->peer_gone.store(true, std::memory_order_release);
  }
  if (update.kind == LinkUpdate::Kind::peer_closed) peer_closed_ = true;
  peer_died_ = true;
  // sync socket.version: release; pairs with adopt_newest(); publishes nothing but the news itself
  version_.fetch_add(1, std::memory_order_release);
}

// The peer's page only serves the statistics here.
void SocketEndpoint::post_segment(LinkUpdate update) {
  if (update.fds.empty()) return violate();
  auto page = Segment::attach_peer(std::move(update.fds[0]), spec_.survives_fork);
  if (!page) return violate();
  const std::lock_guard links(links_);
  if (!peer_page_ || peer_page_->facts().epoch <= page->facts().epoch)
    peer_page_ = std::move(*page);
}

void SocketEndpoint::violate() noexcept {
  counters_.violations.fetch_add(1, std::memory_order_relaxed);  // relaxed: a counter
}

void SocketEndpoint::close() noexcept {
  // sync socket.closed: acq_rel; pairs with both threads' loops; the first caller closes
  if (closed_.exchange(true, std::memory_order_acq_rel)) return;
  // After a fork the other process may hold the same end and go on using it: then only our
  // descriptors go.
  const bool for_good = !spec_.attention || spec_.attention->let_go(used_here());
  ring_bells();
  const std::scoped_lock all(sending_, receiving_, links_);
  if (for_good) say_goodbye();
  out_.reset();
  in_.reset();
  newest_.reset();
  arrived_.clear();
}

// Lets the other end tell closing from dying. A full buffer is given room for it; if there is still
// none, the other end sees a death.
void SocketEndpoint::say_goodbye() noexcept {
  const ConnectionPtr connection = newest_;
  if (!connection || connection->write_broken) return;
  // relaxed: our own counter, and the sending lock is held.
  const auto last = committed_.load(std::memory_order_relaxed);
  const auto header = make_frame_header(FrameKind::close, spec_.epoch, last, 0);
  auto& writer = connection->writer;
  if (writer.write(*connection->wire, header, {}) != WriteStatus::blocked) return;
  connection->wire->make_room(writer.backlog_bytes() + 2 * packet_payload_max);
  static_cast<void>(writer.write(*connection->wire, header, {}));
}

std::uint16_t SocketEndpoint::peer_epoch() const noexcept {
  return peer_epoch_.load(std::memory_order_relaxed);  // relaxed: a figure for the user
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
  stats.violations = counters_.violations.load(std::memory_order_relaxed);  // relaxed: a counter
  const std::lock_guard links(links_);
  if (peer_page_) {
    // The peer's own figure, so at most what we have sent ourselves.
    const auto acknowledged = load_acknowledged(peer_page_->page());
    const std::uint64_t before = segment_.facts().base_index;
    if (acknowledged && acknowledged->cursor.position > before + 1) {
      stats.acknowledged = std::min(acknowledged->cursor.position - before - 1, stats.sent);
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
