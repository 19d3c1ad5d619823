#include "ipc/peer_roster.hpp"

#include <linux/futex.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "ipc/wake.hpp"

namespace bulkhead::ipc {

void Doorbells::ring(const base::UniqueFd& bell) noexcept {
  // A full socket is readable already, and a broken one wakes by its end.
  const char byte = 1;
  static_cast<void>(::send(bell.get(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
}

bool Doorbells::drain(const base::UniqueFd& bell) noexcept {
  // A hostile peer could keep it full for ever: a few rounds, the rest wakes once more for nothing.
  std::array<char, 256> bytes;
  for (int rounds = 0; rounds < 16; ++rounds) {
    const ssize_t got = ::recv(bell.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got < static_cast<ssize_t>(bytes.size())) return true;
  }
  return true;
}

bool Doorbells::has_ended(const base::UniqueFd& bell) noexcept {
  pollfd entry{bell.get(), 0, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLHUP) != 0;
}

void PeerRoster::post(LinkUpdate update) {
  const std::lock_guard lock(mutex_);
  switch (update.kind) {
    case LinkUpdate::Kind::peer_segment:
      if (update.fds.empty()) return;
      take_segment(update.epoch, std::move(update.fds[0]));
      break;
    case LinkUpdate::Kind::sockets: take_sockets(update.epoch, std::move(update.fds)); break;
    case LinkUpdate::Kind::peer_died:
      if (any_died_ && !is_newer(update.epoch, dead_through_)) return;
      any_died_ = true;
      dead_through_ = update.epoch;
      break;
    case LinkUpdate::Kind::peer_closed:
      if (any_closed_ && !is_newer(update.epoch, closed_through_)) return;
      any_closed_ = true;
      closed_through_ = update.epoch;
      break;
  }
  moved();
}

// Attached here and not when it is first used: the descriptor need not be kept, and both directions
// find the same answer.
void PeerRoster::take_segment(std::uint16_t epoch, base::UniqueFd fd) {
  const auto known = [&](const auto& segment) { return segment->facts().epoch == epoch; };
  if (epoch == 0 || std::any_of(segments_.begin(), segments_.end(), known)) return;
  // Older than one that we have, and not among those that are still to be drained: it was drained.
  if (newest_ != 0 && !is_newer(epoch, newest_)) return;
  newest_ = epoch;
  refused_.reset();
  auto segment = Segment::attach_peer(std::move(fd), survives_fork_);
  const bool carries = peer_ == Peer::listens || (segment && segment->facts().ring_capacity != 0);
  if (segment && segment->facts().epoch == epoch && carries) {
    segments_.push_back(std::make_shared<const PeerSegment>(std::move(*segment)));
    return;
  }
  ++violations_;
  refused_ = segment ? make_error(Errc::protocol_violation,
                                  "the peer's segment is not that of a lane of its incarnation")
                     : segment.error();
}

// A brain that was restarted may bring some again; they count when its predecessor died before it had given the
// other end of ours away.
void PeerRoster::take_sockets(std::uint16_t epoch, std::vector<base::UniqueFd> fds) {
  if (fds.empty()) return;
  if (doorbells_ && !is_newer(epoch, doorbells_->epoch) &&
      (epoch != doorbells_->epoch || !Doorbells::has_ended(doorbells_->message))) {
    return;
  }
  auto doorbells = std::make_shared<Doorbells>();
  doorbells->epoch = epoch;
  doorbells->message = std::move(fds[0]);
  if (fds.size() > 1) doorbells->space = std::move(fds[1]);
  doorbells_ = std::move(doorbells);
}

bool PeerRoster::newest_is_dead() const noexcept {
  return any_died_ && !is_newer(newest_, dead_through_);
}

PeerView PeerRoster::view() const {
  const std::lock_guard lock(mutex_);
  PeerView view;
  // relaxed: written under the mutex that we hold.
  view.version = version_.load(std::memory_order_relaxed);
  view.segments = segments_;
  view.dead_through = dead_through_;
  view.newest_dead = newest_is_dead();
  view.closed = any_closed_ && !is_newer(newest_, closed_through_);
  view.refused = refused_;
  view.doorbells = doorbells_;
  return view;
}

void PeerRoster::moved() noexcept {
  // sync mailbox.version: release; pairs with Sleeper::interrupted and version_now; the mutex guards the rest
  version_.fetch_add(1, std::memory_order_release);
}

void PeerRoster::nudge() noexcept {
  // sync mailbox.version: release; pairs with Sleeper::interrupted and version_now; publishes why we nudge
  ipc::ring(version_);
}

void PeerRoster::forget_before(std::uint16_t epoch) {
  const std::lock_guard lock(mutex_);
  // The version stays: the receiver, who calls this, is the one who wants the older ones.
  std::erase_if(segments_,
                [&](const auto& segment) { return is_newer(epoch, segment->facts().epoch); });
}

std::uint16_t PeerRoster::epoch() const {
  const std::lock_guard lock(mutex_);
  return newest_is_dead() ? std::uint16_t{0} : newest_;
}

// A successor exists only after a confirmed death.
bool PeerRoster::is_dead(std::uint16_t epoch) const {
  const std::lock_guard lock(mutex_);
  return (any_died_ && !is_newer(epoch, dead_through_)) ||
         (newest_ != 0 && is_newer(newest_, epoch));
}

std::uint64_t PeerRoster::violations() const {
  const std::lock_guard lock(mutex_);
  return violations_;
}

std::shared_ptr<const PeerSegment> PeerRoster::newest() const {
  const std::lock_guard lock(mutex_);
  return segments_.empty() ? nullptr : segments_.back();
}

std::shared_ptr<const Doorbells> PeerRoster::doorbells() const {
  const std::lock_guard lock(mutex_);
  return doorbells_;
}

}  // namespace bulkhead::ipc
