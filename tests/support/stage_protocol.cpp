// The part of Stage that speaks the control protocol.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "ipc/endpoint.hpp"
#include "ipc/fault_protocol.hpp"
#include "tests/support/stage.hpp"

namespace bulkhead::test {
namespace {

using Kind = ipc::LinkUpdate::Kind;

std::vector<int> borrow(const std::vector<base::UniqueFd>& fds) {
  std::vector<int> numbers;
  for (const auto& fd : fds) numbers.push_back(fd.get());
  return numbers;
}

}  // namespace

void Stage::turn(Deadline deadline) {
  std::vector<pollfd> polled;
  std::vector<Actor*> who;
  for (auto& [name, actor] : actors_) {
    const int control = brain_lost_ ? -1 : actor->control.get();
    const int death = name == dying_ ? actor->process->pidfd() : -1;
    for (const int fd : {actor->output.get(), control, death}) {
      polled.push_back({fd, POLLIN, 0});
      who.push_back(actor.get());
    }
  }
  // Some of what tests wait for is a word in shared memory, which no descriptor tells of.
  constexpr std::int64_t look_again_ms = 20;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining()).count();
  ::poll(polled.data(), polled.size(),
         static_cast<int>(std::min<std::int64_t>(left, look_again_ms)));
  for (std::size_t i = 0; i < who.size(); ++i) {
    if (i % 3 == 0) {
      read_output(*who[i]);
    } else if (i % 3 == 1 && (polled[i].revents & (POLLIN | POLLHUP)) != 0) {
      read_control(*who[i]);
    }
  }
  if (!brain_lost_) serve_waiting();
}

void Stage::read_output(Actor& actor) {
  char text[4096];
  constexpr std::size_t printed_max = std::size_t{4} << 20;  // of a flood the rest is dropped
  for (int reads = 0; reads < 64 && actor.output.is_open(); ++reads) {
    const auto got = ::read(actor.output.get(), text, sizeof text);
    if (got == 0) actor.output.reset();
    if (got <= 0) return;
    if (actor.printed.size() >= printed_max) continue;
    actor.printed.append(text, static_cast<std::size_t>(got));
  }
}

void Stage::read_control(Actor& actor) {
  for (;;) {
    auto packet = ipc::receive_packet(actor.control.get());
    if (!packet) {
      EXPECT_TRUE(packet.error().is(Errc::closed)) << packet.error().to_string();
      return actor.control.reset();
    }
    if (!packet->has_value()) return;
    take(actor, **packet);
  }
}

void Stage::take(Actor& actor, ipc::Packet& packet) {
  const auto message = ipc::read_message(packet.body);
  ASSERT_TRUE(message) << message.error().to_string();
  const auto& content = *message->content;
  if (message->is_answer()) {
    ASSERT_EQ(message->kind, ipc::ControlMessage::Kind::result) << packet.body.dump();
    actor.resync = ipc::decode<ipc::ResyncAnswer>(content).value();
    actor.answered_resync = true;
    actor.ready = actor.resync.phase == ipc::WorkerPhase::ready;
    resynced(actor);
  } else if (message->kind == ipc::ControlMessage::Kind::request && !actor.answered_resync) {
    // A predecessor left it unread; it is said again.
  } else if (message->method == ipc::method::hello) {
    answer_hello(actor, packet, message->id);
  } else if (message->method == ipc::method::ready) {
    actor.ready = true;
  } else if (message->method == ipc::method::status) {
    actor.status = content.at("text").get<std::string>();
  } else if (message->method == ipc::method::link_offer) {
    offered(actor, ipc::decode<ipc::LinkOffer>(content).value(),
            ipc::fd_named(packet, "segment").value());
  } else if (message->method == ipc::method::link_closed) {
    const auto closed = ipc::decode<ipc::LinkClosed>(content).value();
    actor.closed.push_back(closed.pair);
    for (auto& pair : pairs_) {
      if (pair->name != closed.pair) continue;
      const int mine = pair->side[0].worker == actor.cast.name ? 0 : 1;
      if (pair->session) pair->side[mine].open = false;
      for (auto& segment : pair->side[mine].segments) {
        if (segment.epoch == closed.epoch) segment.closed = true;
      }
      send_peer(*pair, 1 - mine, closed.epoch, Kind::peer_closed, {}, {});
    }
    std::erase_if(pairs_, [&](const auto& pair) {
      return pair->session && !pair->side[0].open && !pair->side[1].open;
    });
  } else if (message->method == ipc::method::task_quarantined) {
    given_up.push_back(ipc::decode<ipc::TaskQuarantined>(content).value());
    send(actor, ipc::result(message->id, ipc::Json::object()));
  } else if (message->method == ipc::method::service_connect) {
    const auto wanted = ipc::decode<ipc::ServiceConnect>(content).value();
    waiting_.push_back({actor.cast.name, wanted.service, message->id});
  } else if (message->method !=
             ipc::method::link_cut) {  // of a peer that is dying, here: its successor is connected
    ADD_FAILURE() << actor.cast.name << " said " << packet.body.dump();
  }
}

void Stage::answer_hello(Actor& actor, ipc::Packet& packet, std::uint64_t id) {
  const auto hello = ipc::decode<ipc::HelloWorker>(packet.body.at("params")).value();
  EXPECT_TRUE(ipc::check_versions(hello.versions, actor.cast.name));
  EXPECT_EQ(hello.generation, actor.generation);
  actor.beat_fd = ipc::fd_named(packet, "beat").value();
  EXPECT_EQ(base::file_size(actor.beat_fd.get()).value(), ipc::worker_page_bytes);
  actor.beat =
      base::MappedRegion::map(actor.beat_fd.get(), ipc::worker_page_bytes, base::Access::read_only)
          .value();
  actor.greeted = true;
  ipc::HelloAnswer answer;
  answer.name = actor.cast.name;
  const auto dot = answer.name.find('.');
  answer.worker = answer.name.substr(0, dot);
  answer.index = static_cast<std::uint32_t>(std::stoul(answer.name.substr(dot + 1)));
  answer.generation = actor.generation;
  answer.config = actor.cast.config;
  answer.provides = actor.cast.provides;
  std::vector<std::pair<Pair*, int>> mine;
  for (auto& pair : pairs_) {
    for (int which : {0, 1}) {
      if (pair->side[which].worker == answer.name && !pair->session) {
        mine.emplace_back(pair.get(), which);
      }
    }
  }
  answer.links = static_cast<std::uint32_t>(mine.size());
  send(actor, ipc::result(id, ipc::encode(answer)), {actor.attention_fd.get()});
  for (std::size_t i = 0; i < std::min(mine.size(), links_opened_max); ++i) {
    const auto& [pair, which] = mine[i];
    if (!pair->side[which].open) open_side(*pair, which);
    tell_history(*pair, which);
  }
}

void Stage::resynced(Actor& actor) {
  auto known = actor.resync.links;
  for (const auto& session : actor.resync.sessions) known.push_back({session.pair, session.epoch});
  for (auto& pair : pairs_) {
    for (int which : {0, 1}) {
      auto& mine = pair->side[which];
      const auto told = std::find_if(known.begin(), known.end(), [&](const auto& entry) {
        return entry.pair == pair->name && mine.worker == actor.cast.name;
      });
      if (told == known.end()) continue;
      mine.epoch = told->epoch;
      mine.open = true;
      tell_history(*pair, which);
    }
  }
}

void Stage::open_side(Pair& pair, int which) {
  auto& mine = pair.side[which];
  const auto& theirs = pair.side[1 - which];
  ++mine.epoch;
  mine.open = true;
  ipc::LinkOpen open;
  open.pair = pair.name;
  open.link = pair.link;
  open.service = pair.service;
  open.role = static_cast<ipc::LinkRole>(which + (pair.session ? 2 : 0));
  open.side = static_cast<ipc::Side>(which);
  open.peer = theirs.worker;
  open.peer_generation = actors_.contains(theirs.worker) ? actor(theirs.worker).generation : 0;
  open.epoch = mine.epoch;
  open.transport = pair.transport;
  open.options = pair.options;
  open.session = pair.session;
  open.predecessor = !mine.segments.empty();
  std::vector<int> fds;
  if (open.predecessor) fds.push_back(mine.segments.back().fd.get());
  open.max_attempts = pair.max_attempts;
  open.journal = pair.journal != nullptr && which == 0;
  if (open.journal) fds.push_back(pair.journal->get());
  send(actor(mine.worker), ipc::notification(ipc::method::link_open, ipc::encode(open)), fds);
}

void Stage::tell_history(Pair& pair, int reader) {
  for (auto& segment : pair.side[1 - reader].segments) {
    send_peer(pair, reader, segment.epoch, Kind::peer_segment, {"segment"}, {segment.fd.get()});
    if (segment.closed) send_peer(pair, reader, segment.epoch, Kind::peer_closed, {}, {});
    if (segment.dead) send_peer(pair, reader, segment.epoch, Kind::peer_died, {}, {});
  }
}

void Stage::send_peer(Pair& pair, int receiver, std::uint16_t epoch, Kind kind,
                      std::vector<std::string> names, const std::vector<int>& fds) {
  if (!pair.side[receiver].open) return;
  ipc::LinkPeer news;
  news.pair = pair.name;
  news.epoch = epoch;
  news.kind = kind;
  news.fds = std::move(names);
  send(actor(pair.side[receiver].worker),
       ipc::notification(ipc::method::link_peer, ipc::encode(news)), fds);
}

void Stage::offered(Actor& actor, const ipc::LinkOffer& offer, base::UniqueFd segment) {
  const auto found = std::find_if(pairs_.begin(), pairs_.end(),
                                  [&](const auto& pair) { return pair->name == offer.pair; });
  if (found == pairs_.end()) return;  // a session that ended meanwhile
  auto& pair = **found;
  const int which = pair.side[0].worker == actor.cast.name ? 0 : 1;
  auto& side = pair.side[which];
  ASSERT_EQ(offer.epoch, side.epoch);
  side.offered = true;
  send(actor, ipc::notification(ipc::method::link_kept,
                                ipc::encode(ipc::LinkKept{pair.name, offer.epoch})));
  if (side.segments.empty() || side.segments.back().epoch != offer.epoch) {
    side.segments.push_back({offer.epoch, std::move(segment)});
    send_peer(pair, 1 - which, offer.epoch, Kind::peer_segment, {"segment"},
              {side.segments.back().fd.get()});
  }
  connect(pair);
}

void Stage::connect(Pair& pair) {
  if (!pair.side[0].offered || !pair.side[1].offered) return;
  if (pair.connected[0] == pair.side[0].epoch && pair.connected[1] == pair.side[1].epoch) return;
  pair.connected[0] = pair.side[0].epoch;
  pair.connected[1] = pair.side[1].epoch;
  auto ends = ipc::make_sockets(pair.transport).value();
  const auto names = [](std::size_t count) { return std::vector<std::string>(count, "end"); };
  send_peer(pair, 0, pair.side[1].epoch, Kind::sockets, names(ends.from.size()), borrow(ends.from));
  send_peer(pair, 1, pair.side[0].epoch, Kind::sockets, names(ends.to.size()), borrow(ends.to));
}

bool Stage::is_asking(const std::string& client) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const auto& wanted) { return wanted.client == client; });
}

void Stage::serve_waiting() {
  for (std::size_t i = 0; i < waiting_.size();) {
    const auto wanted = waiting_[i];
    const auto server = std::find_if(actors_.begin(), actors_.end(), [&](const auto& entry) {
      const auto& provides = entry.second->cast.provides;
      return entry.second->ready &&
             std::find(provides.begin(), provides.end(), wanted.service) != provides.end();
    });
    if (server == actors_.end()) {
      ++i;
      continue;
    }
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    auto pair = std::make_unique<Pair>();
    pair->name =
        "session/" + std::to_string(next_session_++) + "/" + wanted.client + "/" + server->first;
    pair->link = pair->service = wanted.service;
    pair->session = true;
    pair->side[0].worker = wanted.client;
    pair->side[1].worker = server->first;
    auto& session = *pairs_.emplace_back(std::move(pair));
    open_side(session, 0);
    open_side(session, 1);
    ipc::ServiceConnectAnswer answer;
    answer.pair = session.name;
    send(actor(wanted.client), ipc::result(wanted.id, ipc::encode(answer)));
    if (sessions_stillborn == 0) continue;
    --sessions_stillborn;
    for (const int side : {0, 1}) send_peer(session, side, 1, Kind::peer_died, {}, {});
  }
}

}  // namespace bulkhead::test
