#include "supervisor/introducer.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "ipc/end_page.hpp"
#include "ipc/epoch.hpp"
#include "ipc/queue_frame.hpp"

namespace bulkhead::supervisor {
namespace {

using Kind = ipc::LinkUpdate::Kind;

std::vector<int> borrow(const std::vector<base::UniqueFd>& fds) {
  std::vector<int> numbers;
  for (const auto& fd : fds) numbers.push_back(fd.get());
  return numbers;
}

// "NUMBER/rest": takes the number off the front.
std::uint16_t take_number(std::string_view& text) {
  std::uint16_t number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number).ptr;
  text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(end - text.data()) + 1));
  return number;
}

SideSegment make_segment(std::uint16_t epoch, base::UniqueFd fd) {
  SideSegment segment;
  segment.epoch = epoch;
  if (auto copy = base::duplicate(fd.get())) {
    if (auto page = ipc::Segment::attach_peer(std::move(*copy)))
      segment.page.emplace(std::move(*page));
  }
  segment.fd = std::move(fd);
  return segment;
}

}  // namespace

Introducer::Introducer(const SystemConfig& config, const Plan& plan, KeeperClient& keeper,
                       WorkerPost post)
    : config_(config),
      plan_(plan),
      keeper_(keeper),
      post_(std::move(post)),
      journals_(config, plan, keeper),
      leases_(keeper),
      pairs_(make_pairs(config, plan)) {}

void Introducer::restore() {
  journals_.ensure();
  for (const auto& entry : keeper_.entries("segment/")) {
    std::string_view rest = std::string_view(entry.tag).substr(8);
    const auto side = rest.starts_with("from/") ? ipc::Side::from : ipc::Side::to;
    rest.remove_prefix(side == ipc::Side::from ? 5 : 3);
    const auto epoch = take_number(rest);
    Pair* pair = find_pair(rest);
    auto fd = base::duplicate(entry.fd);
    if (pair == nullptr || !fd) continue;
    PairSide& mine = pair->side(side);
    mine.segments.push_back(make_segment(epoch, std::move(*fd)));
    if (ipc::is_newer(epoch, mine.epoch)) mine.epoch = epoch;
  }
  for (const auto& entry : keeper_.entries("connection/")) {
    std::string_view rest = std::string_view(entry.tag).substr(11);
    const auto from = take_number(rest);
    const auto to = take_number(rest);
    if (Pair* pair = find_pair(rest)) {
      pair->connected_from = from;
      pair->connected_to = to;
    }
  }
  for (Pair& pair : pairs_) {
    for (const auto which : {ipc::Side::from, ipc::Side::to}) {
      auto& segments = pair.side(which).segments;
      std::sort(segments.begin(), segments.end(),
                [](const auto& a, const auto& b) { return ipc::is_newer(b.epoch, a.epoch); });
      for (auto& segment : segments) segment.dead = true;
      // Its owner's resync tells whether it is the living incarnation's; nobody may hear before
      // that it is dead.
      if (!segments.empty() && post_.alive(pair.side(which).slot)) segments.back().dead = false;
    }
    // Who holds a task for too long may answer no resync either.
    const LinkConfig& link = config_.links[pair.link];
    if (!link.lease_timeout || !post_.alive(pair.to.slot)) continue;
    (void)leases_.resume(pair.name, pair.to.slot, post_.generation(pair.to.slot),
                         nanoseconds(*link.lease_timeout));
  }
}

std::vector<Introducer::SideRef> Introducer::sides_of(Slot slot) const {
  std::vector<SideRef> sides;
  for (Pair& pair : pairs_) {
    if (pair.from.slot == slot) sides.push_back({&pair, ipc::Side::from});
    if (pair.to.slot == slot) sides.push_back({&pair, ipc::Side::to});
  }
  return sides;
}

Pair* Introducer::find_pair(std::string_view name) {
  const auto found =
      std::find_if(pairs_.begin(), pairs_.end(), [&](const Pair& p) { return p.name == name; });
  return found == pairs_.end() ? nullptr : &*found;
}

// The pair, if any, that has to be drained before an incarnation gets this link. A publisher that lacked one
// subscriber would leave it out without a word, so it gets all of its topic or nothing.
const Pair* Introducer::crowded(const Pair& pair, ipc::Side side) const {
  if (!pair.topic || side == ipc::Side::to) return is_crowded(pair, side) ? &pair : nullptr;
  const auto found = std::find_if(pairs_.begin(), pairs_.end(), [&](const Pair& other) {
    return other.link == pair.link && is_crowded(other, side);
  });
  return found == pairs_.end() ? nullptr : &*found;
}

// The numbers of the messages that go with a segment are missing to the subscriber, and told as a gap.
void Introducer::make_way(Pair& pair, ipc::Side side) {
  for (const auto epoch : droppable(pair, side)) forget(pair, side, epoch);
  if (!pair.topic || pair.topic->overflow == Overflow::block) return;
  while (pair.side(side).segments.size() > undrained_epochs_max) {
    forget(pair, side, pair.side(side).segments.front().epoch);
  }
}

// What a queue's end cannot be without, and why it was not made; "" normally.
std::string Introducer::lack(const Pair& pair, ipc::Side side) const {
  if (side == ipc::Side::from && journals_.is_queue(pair.link) && journals_.fd(pair.link) < 0) {
    return "the journal of the queue was not made: " + journals_.complaint(pair.link);
  }
  if (side == ipc::Side::from || !config_.links[pair.link].lease_timeout) return {};
  const auto made = leases_.ensure(pair.name);
  return made ? "" : "what shows its leases was not made: " + made.error().to_string();
}

bool Introducer::openable(const Pair& pair, ipc::Side side) const {
  return crowded(pair, side) == nullptr && lack(pair, side).empty();
}

std::uint32_t Introducer::count_links(Slot slot) const {
  std::uint32_t count = 0;
  for (const auto& [pair, side] : sides_of(slot)) count += openable(*pair, side) ? 1 : 0;
  return count;
}

std::string Introducer::complaint(Slot slot) const {
  for (const auto& [pair, side] : sides_of(slot)) {
    if (pair->side(side).open) continue;
    if (const auto missing = lack(*pair, side); !missing.empty()) {
      return "runs without link " + pair->name + ", because " + missing;
    }
    const Pair* const full = crowded(*pair, side);
    if (full == nullptr) continue;
    const Slot reader = full->side(ipc::other(side)).slot;
    return "runs without link " + pair->name + ", because " + plan_.instances[reader].name +
           " has not drained what four predecessors sent";
  }
  return {};
}

void Introducer::open_links(Slot slot) {
  greeted_.insert(slot);
  for (const auto& [pair, side] : sides_of(slot)) {
    if (!openable(*pair, side)) continue;
    make_way(*pair, side);
    if (!pair->side(side).open) open_side(*pair, side);  // else it said hello again, after a resync
    tell_history(*pair, side);
  }
}

void Introducer::open_side(Pair& pair, ipc::Side side) {
  const LinkConfig& link = config_.links[pair.link];
  PairSide& mine = pair.side(side);
  const Slot peer = pair.side(ipc::other(side)).slot;
  mine.epoch = ipc::next_epoch(mine.epoch);
  mine.open = true;
  mine.offered = false;

  ipc::LinkOpen open;
  open.pair = pair.name;
  open.link = link.name;
  open.role = side == ipc::Side::from ? ipc::LinkRole::from : ipc::LinkRole::to;
  open.side = side;
  open.peer = plan_.instances[peer].name;
  open.peer_generation = post_.generation(peer);
  open.epoch = mine.epoch;
  open.transport = link.transport;
  open.options = link.options;
  open.topic = pair.topic;
  std::vector<int> fds;
  if (const SideSegment* predecessor = mine.newest()) {
    open.predecessor = true;
    fds.push_back(predecessor->fd.get());
  }
  if (journals_.is_queue(pair.link)) {
    open.options.max_message += ipc::queue_frame_bytes;  // the user's limit is for what is inside
    open.max_attempts = link.max_attempts;
    open.workers = static_cast<std::uint16_t>(config_.find_worker(link.to.front())->instances);
    open.journal = side == ipc::Side::from;
    if (open.journal) fds.push_back(journals_.fd(pair.link));
    if (link.lease_timeout && side == ipc::Side::to) {
      open.lease = true;  // see openable()
      const auto generation = post_.generation(mine.slot);
      fds.push_back(
          leases_.open(pair.name, mine.slot, generation, nanoseconds(*link.lease_timeout)).value());
    }
  }
  post_.send(mine.slot, ipc::method::link_open, ipc::encode(open), fds);
}

// Everything that the other side has written and that may not be drained yet, oldest first.
void Introducer::tell_history(Pair& pair, ipc::Side reader) {
  const auto writer = ipc::other(reader);
  for (const SideSegment& segment : pair.side(writer).segments) {
    send_segment(pair, writer, segment);
    if (segment.closed) send_peer(pair, reader, segment.epoch, Kind::peer_closed, {}, {});
    if (segment.dead) send_peer(pair, reader, segment.epoch, Kind::peer_died, {}, {});
  }
}

void Introducer::send_segment(const Pair& pair, ipc::Side writer, const SideSegment& segment) {
  const int fd = segment.fd.get();
  send_peer(pair, ipc::other(writer), segment.epoch, Kind::peer_segment, {"segment"},
            std::span<const int>(&fd, 1));
}

void Introducer::send_peer(const Pair& pair, ipc::Side receiver, std::uint16_t epoch, Kind kind,
                           std::vector<std::string> names, std::span<const int> fds) {
  if (!pair.side(receiver).open) return;
  ipc::LinkPeer peer;
  peer.pair = pair.name;
  peer.epoch = epoch;
  peer.kind = kind;
  peer.fds = std::move(names);
  post_.send(pair.side(receiver).slot, ipc::method::link_peer, ipc::encode(peer), fds);
}

Result<void> Introducer::offered(Slot slot, const ipc::LinkOffer& offer, base::UniqueFd segment) {
  const auto found = side_named(slot, offer.pair, "offered a segment for");
  if (!found) return found.error();
  const auto [pair, side] = *found;
  if (pair == nullptr) return {};
  PairSide& mine = pair->side(side);
  if (!mine.open || offer.epoch != mine.epoch) {
    return make_error(Errc::protocol_violation, plan_.instances[slot].name + " offered epoch " +
                                                    std::to_string(offer.epoch) + " of " +
                                                    pair->name);
  }
  if (mine.find(offer.epoch) == nullptr) {
    const auto stored = keeper_.put(segment_tag(*pair, side, offer.epoch), segment.get());
    if (!stored) return stored.error();
    mine.segments.push_back(make_segment(offer.epoch, std::move(segment)));
    send_segment(*pair, side, mine.segments.back());
  }
  mine.find(offer.epoch)->dead = false;
  mine.offered = true;
  post_.send(slot, ipc::method::link_kept, ipc::encode(ipc::LinkKept{pair->name, offer.epoch}), {});
  connect(*pair);
  return {};
}

// A connection belongs to one pair of incarnations. It is remembered in the keeper only after both
// ends are on their way: a brain killed in between leads to a second connection, never to none.
void Introducer::connect(Pair& pair) {
  if (!pair.from.offered || !pair.to.offered) return;
  const bool is_same = pair.connected_from == pair.from.epoch && pair.connected_to == pair.to.epoch;
  if (is_same && !pair.is_cut) return;
  const Transport transport = config_.links[pair.link].transport;
  auto ends = ipc::make_sockets(transport);
  if (!ends) return;  // out of descriptors: collect() tries again
  const auto names = connection_names(transport);
  send_peer(pair, ipc::Side::from, pair.to.epoch, Kind::sockets, names, borrow(ends->from));
  send_peer(pair, ipc::Side::to, pair.from.epoch, Kind::sockets, names, borrow(ends->to));
  const std::string old_tag = connection_tag(pair);
  const bool had = pair.connected_from != 0;
  pair.connected_from = pair.from.epoch;
  pair.connected_to = pair.to.epoch;
  pair.reconnects += is_same ? 1 : 0;
  pair.is_cut = false;
  if (had) (void)keeper_.drop(old_tag);
  // Any descriptor serves: the entry is a note to a successor of this brain.
  (void)keeper_.put(connection_tag(pair), pair.from.newest()->fd.get());
}

// A pair by what a worker says of it: the worker's side, or null for a link of an earlier config. `did` is for the
// complaint.
Result<Introducer::SideRef> Introducer::side_named(Slot slot, const std::string& name,
                                                   const char* did) {
  Pair* const pair = find_pair(name);
  if (pair == nullptr && may_be_former(slot)) return SideRef{nullptr, ipc::Side::from};
  if (pair == nullptr || (pair->from.slot != slot && pair->to.slot != slot)) {
    return make_error(Errc::protocol_violation, plan_.instances[slot].name + " " + did +
                                                    " a link that is not its own, " + name);
  }
  return SideRef{pair, pair->from.slot == slot ? ipc::Side::from : ipc::Side::to};
}

Result<void> Introducer::closed(Slot slot, const ipc::LinkClosed& closed) {
  const auto found = side_named(slot, closed.pair, "closed");
  if (!found) return found.error();
  const auto [pair, side] = *found;
  if (pair == nullptr || closed.epoch != pair->side(side).epoch) return {};
  // The other side may be away just now: its next incarnation is told with the history.
  if (SideSegment* const segment = pair->side(side).find(closed.epoch)) segment->closed = true;
  send_peer(*pair, ipc::other(side), closed.epoch, Kind::peer_closed, {}, {});
  return {};
}

// Most often the peer is dying, and its exit is yet to be read. So another connection is made at leisure: by then it is
// dead, and its successor gets one anyway. Of both ends' complaints the second finds it made, or asks for it again;
// an end that has a connection that is whole leaves a further one alone.
Result<void> Introducer::cut(Slot slot, const ipc::LinkCut& cut) {
  const auto found = side_named(slot, cut.pair, "lost");
  if (!found) return found.error();
  const auto [pair, side] = *found;
  if (pair == nullptr || cut.epoch != pair->side(side).epoch) return {};
  if (cut.peer_epoch == pair->side(ipc::other(side)).epoch) pair->is_cut = true;
  return {};
}

Result<Introducer::Quarantined> Introducer::quarantined(Slot slot,
                                                        const ipc::TaskQuarantined& task) {
  const Pair* pair = find_pair(task.pair);
  if (pair == nullptr || pair->from.slot != slot || !journals_.is_queue(pair->link)) {
    return make_error(Errc::protocol_violation, plan_.instances[slot].name +
                                                    " gave up a task of a queue that it does not "
                                                    "fill, " +
                                                    task.pair);
  }
  return Quarantined{pair->to.slot, pair->link};
}

void Introducer::died(Slot slot) {
  greeted_.erase(slot);
  for (const auto& [pair, side] : sides_of(slot)) {
    if (side == ipc::Side::to) leases_.forget(pair->name);
    PairSide& mine = pair->side(side);
    mine.open = false;
    mine.offered = false;
    for (SideSegment& segment : mine.segments) {
      if (std::exchange(segment.dead, true)) continue;
      send_peer(*pair, ipc::other(side), segment.epoch, Kind::peer_died, {}, {});
    }
  }
}

// The worker names its epochs and offers its segments again after this. Both ends are told what they
// may have missed when the last brain died. A worker that lacks a link says hello again.
void Introducer::resynced(Slot slot, const ipc::ResyncAnswer& answer) {
  for (const auto& [pair, side] : sides_of(slot)) {
    const auto known = std::find_if(answer.links.begin(), answer.links.end(),
                                    [&](const auto& link) { return link.pair == pair->name; });
    if (known == answer.links.end()) continue;
    PairSide& mine = pair->side(side);
    mine.epoch = known->epoch;
    mine.open = true;
    for (SideSegment& segment : mine.segments) segment.dead = segment.epoch != mine.epoch;
    tell_history(*pair, ipc::other(side));
    tell_history(*pair, side);
  }
}

void Introducer::forget(Pair& pair, ipc::Side side, std::uint16_t epoch) {
  (void)keeper_.drop(segment_tag(pair, side, epoch));
  std::erase_if(pair.side(side).segments, [&](const auto& s) { return s.epoch == epoch; });
}

void Introducer::collect() {
  journals_.ensure();
  for (Pair& pair : pairs_) {
    for (const auto side : {ipc::Side::from, ipc::Side::to}) {
      for (const auto epoch : droppable(pair, side)) forget(pair, side, epoch);
    }
    connect(pair);
  }
}

}  // namespace bulkhead::supervisor
