#include "supervisor/sessions.hpp"

#include <algorithm>
#include <utility>

#include "supervisor/pair.hpp"

namespace bulkhead::supervisor {
namespace {

using Kind = ipc::LinkUpdate::Kind;

constexpr std::size_t sessions_max = 4096;
// Of one worker as the client, waiting requests included: what a session costs is paid by its server.
constexpr std::size_t per_client_max = 64;
constexpr const char* outside_name = "cli";

// "session/NUMBER/CLIENT/SERVER"
struct Ends {
  std::string_view client, server;
};
std::optional<Ends> ends_of(std::string_view pair) {
  const auto server_at = pair.rfind('/');
  if (!pair.starts_with("session/") || server_at == pair.npos) return std::nullopt;
  const auto client_at = pair.rfind('/', server_at - 1);
  if (client_at == pair.npos || client_at < 8) return std::nullopt;
  return Ends{pair.substr(client_at + 1, server_at - client_at - 1), pair.substr(server_at + 1)};
}

std::vector<int> borrow(const std::vector<base::UniqueFd>& fds) {
  std::vector<int> numbers;
  for (const auto& fd : fds) numbers.push_back(fd.get());
  return numbers;
}

}  // namespace

Sessions::Sessions(const SystemConfig& config, const Plan& plan, WorkerPost post,
                   std::function<std::uint64_t()> next_id, std::function<bool(Slot)> is_ready)
    : config_(config),
      plan_(plan),
      post_(std::move(post)),
      next_id_(std::move(next_id)),
      is_ready_(std::move(is_ready)) {}

bool Sessions::provided(const std::string& service) const {
  return std::any_of(config_.workers.begin(), config_.workers.end(), [&](const WorkerConfig& w) {
    return std::any_of(w.provides.begin(), w.provides.end(),
                       [&](const Provided& p) { return p.name == service; });
  });
}

std::optional<Sessions::Provider> Sessions::find_provider(const std::string& service) {
  std::vector<Provider> ready;
  for (const WorkerConfig& worker : config_.workers) {
    for (const Provided& provided : worker.provides) {
      if (provided.name != service) continue;
      for (Slot slot = 0; slot < plan_.instances.size(); ++slot) {
        if (plan_.instances[slot].worker == worker.name && is_ready_(slot)) {
          ready.push_back({slot, provided.transport});
        }
      }
    }
  }
  if (ready.empty()) return std::nullopt;
  return ready[turn_++ % ready.size()];
}

void Sessions::connect(std::optional<Slot> client, const std::string& service, TimeNs until,
                       Answer answer) {
  if (!provided(service)) {
    return answer(make_error(Errc::not_found, "no worker provides the service " + service));
  }
  if (client && count_of(*client) >= per_client_max) {
    return answer(
        make_error(Errc::out_of_budget, plan_.instances[*client].name + " has " +
                                            std::to_string(per_client_max) +
                                            " sessions and requests for one; let go of some"));
  }
  if (const auto provider = find_provider(service)) {
    return open(client, service, *provider, std::move(answer));
  }
  if (waiting_.size() >= sessions_max) {
    return answer(make_error(Errc::out_of_budget, "more than 4096 requests wait for a service"));
  }
  waiting_.push_back({client, service, until, std::move(answer)});
}

std::size_t Sessions::count_of(Slot client) const {
  const auto open = std::count_if(sessions_.begin(), sessions_.end(), [&](const auto& entry) {
    return entry.second.client.slot == client;
  });
  const auto waiting = std::count_if(waiting_.begin(), waiting_.end(),
                                     [&](const Waiting& w) { return w.client == client; });
  return static_cast<std::size_t>(open + waiting);
}

void Sessions::retry(TimeNs now) {
  auto waiting = std::exchange(waiting_, {});
  for (auto& request : waiting) {
    if (const auto provider = find_provider(request.service)) {
      open(request.client, request.service, *provider, std::move(request.answer));
    } else if (now >= request.until) {
      request.answer(make_error(Errc::timed_out,
                                "no provider of the service " + request.service + " is ready"));
    } else {
      waiting_.push_back(std::move(request));
    }
  }
}

TimeNs Sessions::next_due() const noexcept {
  TimeNs due = time_never;
  for (const auto& request : waiting_) due = std::min(due, request.until);
  return due;
}

void Sessions::open(std::optional<Slot> client, const std::string& service, Provider provider,
                    Answer answer) {
  if (sessions_.size() >= sessions_max) {
    return answer(make_error(Errc::out_of_budget, "more than 4096 sessions at once"));
  }
  const std::string name = "session/" + std::to_string(next_id_()) + "/" +
                           (client ? plan_.instances[*client].name : outside_name) + "/" +
                           plan_.instances[provider.slot].name;
  Session session;
  session.client.slot = client;
  session.client.generation = client ? post_.generation(*client) : 0;
  session.server.slot = provider.slot;
  session.server.generation = post_.generation(provider.slot);
  session.transport = client ? provider.transport : Transport::unix_socket;
  session.answer = std::move(answer);
  auto& stored = sessions_.emplace(name, std::move(session)).first->second;
  send_open(name, stored, false, service);
  if (client) {
    send_open(name, stored, true, service);
  } else {
    stored.client.offered = true;  // brings nothing along but its end of the socket
  }
}

void Sessions::send_open(const std::string& name, const Session& session, bool to_client,
                         const std::string& service) {
  const End& mine = to_client ? session.client : session.server;
  const End& peer = to_client ? session.server : session.client;
  ipc::LinkOpen open;
  open.pair = name;
  open.link = service;
  open.service = service;
  open.role = to_client ? ipc::LinkRole::client : ipc::LinkRole::server;
  open.side = to_client ? ipc::Side::from : ipc::Side::to;
  open.peer = peer.slot ? plan_.instances[*peer.slot].name : outside_name;
  open.peer_generation = peer.generation;
  open.epoch = 1;
  open.transport = session.transport;
  open.session = true;
  post_.send(*mine.slot, ipc::method::link_open, ipc::encode(open), {});
}

void Sessions::tell(const End& receiver, const std::string& pair, Kind kind,
                    std::vector<std::string> names, std::vector<int> fds) {
  if (!receiver.slot) return;
  ipc::LinkPeer peer;
  peer.pair = pair;
  peer.epoch = 1;
  peer.kind = kind;
  peer.fds = std::move(names);
  post_.send(*receiver.slot, ipc::method::link_peer, ipc::encode(peer), fds);
}

bool Sessions::offered(Slot slot, const ipc::LinkOffer& offer, base::UniqueFd& segment) {
  const auto found = sessions_.find(offer.pair);
  if (found == sessions_.end()) return offer.pair.starts_with("session/");  // it has ended since
  Session& session = found->second;
  End& mine = session.client.slot == slot ? session.client : session.server;
  if (mine.slot != slot || mine.offered) return true;
  mine.offered = true;
  mine.segment = std::move(segment);
  if (session.client.offered && session.server.offered) complete(found->first, session);
  return true;
}

// Both segments cross, then each end gets its half of the connection; then the client may call.
void Sessions::complete(const std::string& name, Session& session) {
  for (const bool to_client : {false, true}) {
    const End& writer = to_client ? session.server : session.client;
    if (!writer.segment.is_open()) continue;
    tell(to_client ? session.client : session.server, name, Kind::peer_segment, {"segment"},
         {writer.segment.get()});
  }
  auto ends = ipc::make_sockets(session.transport);
  auto answer = std::exchange(session.answer, nullptr);
  session.client.segment.reset();
  session.server.segment.reset();
  if (!ends) {
    if (answer) answer(ends.error());
    return end(sessions_.find(name), true, Kind::peer_closed);
  }
  const auto names = connection_names(session.transport);
  tell(session.server, name, Kind::sockets, names, borrow(ends->to));
  Connected connected{name, {}};
  if (session.client.slot) {
    tell(session.client, name, Kind::sockets, names, borrow(ends->from));
  } else {  // without pages it has no use for the doorbell
    connected.socket = std::move(ends->from.front());
  }
  if (answer) answer(std::move(connected));
}

// One end is gone: the other hears of it, and whoever still waits for the connection too.
void Sessions::end(std::map<std::string, Session>::iterator at, bool client_side, Kind kind) {
  auto node = sessions_.extract(at);
  Session& session = node.mapped();
  tell(client_side ? session.server : session.client, node.key(), kind);
  if (session.answer) {
    session.answer(make_error(Errc::peer_died, "the provider died while it was being connected"));
  }
}

bool Sessions::closed(Slot slot, const ipc::LinkClosed& closed) {
  const auto found = sessions_.find(closed.pair);
  if (found == sessions_.end()) return closed.pair.starts_with("session/");
  const bool client_side = found->second.client.slot == slot;
  if (client_side || found->second.server.slot == slot) end(found, client_side, Kind::peer_closed);
  return true;
}

void Sessions::died(Slot slot) {
  std::erase_if(waiting_, [&](const Waiting& w) { return w.client == slot; });
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    const auto next = std::next(at);
    if (at->second.client.slot == slot) {
      end(at, true, Kind::peer_died);
    } else if (at->second.server.slot == slot) {
      end(at, false, Kind::peer_died);
    }
    at = next;
  }
}

// A session that only one end knows was half open when the last brain died, or its other end has let go
// of it meanwhile: nobody will ever call over it.
void Sessions::resynced(Slot slot, const ipc::ResyncAnswer& answer) {
  for (const auto& told : answer.sessions) restore(slot, told, answer.generation);
  resynced_.insert(slot);
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    const auto next = std::next(at);
    const Session& session = at->second;
    for (const bool client_side : {true, false}) {
      const End& mine = client_side ? session.client : session.server;
      if (!session.restored || mine.slot != slot || mine.offered) continue;
      end(at, client_side, Kind::peer_closed);
      break;
    }
    at = next;
  }
}

// Each end names its peer and that peer's generation: a peer that is not of that generation any
// more died while there was no brain to say so. What a worker tells of sessions that are not its own
// counts for nothing.
void Sessions::restore(Slot slot, const ipc::ResyncAnswer::Session& told, Generation generation) {
  const auto ends = ends_of(told.pair);
  if (!ends || sessions_.size() >= sessions_max) return;
  const std::string& name = plan_.instances[slot].name;
  const bool server_side = ends->server == name;
  if (server_side ? ends->client != told.peer : ends->client != name || ends->server != told.peer) {
    return;
  }
  const auto at = sessions_.try_emplace(told.pair).first;
  Session& session = at->second;
  session.restored = true;
  End& mine = server_side ? session.server : session.client;
  End& peer = server_side ? session.client : session.server;
  mine.slot = slot;
  mine.generation = generation;
  mine.offered = true;
  if (told.peer == outside_name) return;
  for (Slot other = 0; other < plan_.instances.size(); ++other) {
    if (plan_.instances[other].name == told.peer) peer.slot = other;
  }
  peer.generation = told.peer_generation;
  if (!peer.slot || !post_.alive(*peer.slot) || post_.generation(*peer.slot) != peer.generation) {
    end(at, server_side, Kind::peer_died);
  } else if (!peer.offered && resynced_.contains(*peer.slot)) {
    end(at, server_side, Kind::peer_closed);
  }
}

}  // namespace bulkhead::supervisor
