#include "supervisor/sessions.hpp"

#include <algorithm>
#include <utility>

namespace bulkhead::supervisor {
namespace {

using Kind = ipc::LinkUpdate::Kind;

constexpr std::size_t sessions_max = 4096;
constexpr const char* outside_name = "cli";

std::vector<std::string> socket_names(std::size_t n) {
  return n == 1 ? std::vector<std::string>{"socket"} : std::vector<std::string>{"read", "write"};
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
  if (const auto provider = find_provider(service)) {
    return open(client, service, *provider, std::move(answer));
  }
  waiting_.push_back({client, service, until, std::move(answer)});
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
  tell(session.server, name, Kind::sockets, socket_names(ends->to.size()), borrow(ends->to));
  Connected connected{name, {}};
  if (session.client.slot) {
    tell(session.client, name, Kind::sockets, socket_names(ends->from.size()), borrow(ends->from));
  } else {
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

// Each end names its peer and that peer's generation: a peer that is not of that generation any
// more died while there was no brain to say so.
void Sessions::resynced(Slot slot, const ipc::ResyncAnswer& answer) {
  for (const auto& told : answer.sessions) {
    const auto [at, is_new] = sessions_.try_emplace(told.pair);
    Session& session = at->second;
    const bool server_side = told.pair.ends_with("/" + plan_.instances[slot].name);
    End& mine = server_side ? session.server : session.client;
    mine.slot = slot;
    mine.generation = answer.generation;
    mine.offered = true;
    End& peer = server_side ? session.client : session.server;
    if (told.peer == outside_name) continue;
    for (Slot other = 0; other < plan_.instances.size(); ++other) {
      if (plan_.instances[other].name == told.peer) peer.slot = other;
    }
    peer.generation = told.peer_generation;
    if (!peer.slot || !post_.alive(*peer.slot) || post_.generation(*peer.slot) != peer.generation) {
      end(at, server_side, Kind::peer_died);
    }
  }
}

}  // namespace bulkhead::supervisor
