#include "workers/pair_table.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "ipc/endpoint.hpp"

namespace bulkhead::workers {
namespace {

// "cruncher.10" comes after "cruncher.9".
std::pair<std::string_view, std::uint32_t> instance_order(std::string_view instance) {
  const auto dot = instance.rfind('.');
  if (dot == std::string_view::npos) return {instance, 0};
  std::uint32_t index = 0;
  std::from_chars(instance.data() + dot + 1, instance.data() + instance.size(), index);
  return {instance.substr(0, dot), index};
}

}  // namespace

Result<const PairTable::Pair*> PairTable::open(ipc::LinkOpen open, base::UniqueFd predecessor,
                                               base::UniqueFd shared,
                                               std::shared_ptr<ipc::Attention> attention) {
  if (pairs_.contains(open.pair)) return nullptr;
  ipc::EndSpec spec;
  spec.link = open.session ? open.service : open.link;
  spec.peer = open.peer;
  spec.side = open.side;
  spec.epoch = open.epoch;
  spec.peer_life = open.session ? ipc::PeerLife::single : ipc::PeerLife::replaced;
  spec.options = open.options;
  spec.topic = open.topic;
  spec.predecessor = std::move(predecessor);
  spec.attention = std::move(attention);
  auto endpoint = ipc::open_endpoint(open.transport, std::move(spec));
  if (!endpoint) {
    Error error = endpoint.error();
    error.context = "opening " + open.pair + ": " + error.context;
    return error;
  }
  Pair pair;
  pair.kept = open.session || (*endpoint)->segment_fd() < 0;
  pair.endpoint = std::move(*endpoint);
  pair.open = std::move(open);
  pair.shared = std::move(shared);
  const auto name = pair.open.pair;
  return &pairs_.emplace(name, std::move(pair)).first->second;
}

bool PairTable::update(const ipc::LinkPeer& news, std::vector<base::UniqueFd> fds) {
  Pair* const pair = find(news.pair);
  if (pair == nullptr) return false;
  using Kind = ipc::LinkUpdate::Kind;
  if (news.kind == Kind::peer_died || news.kind == Kind::peer_closed) {
    pair->peer_gone = pair->open.session;
  }
  if (news.kind == Kind::sockets) pair->cut_from = 0;
  pair->endpoint->post(ipc::LinkUpdate{news.kind, news.epoch, std::move(fds)});
  return true;
}

void PairTable::mark_kept(const ipc::LinkKept& news) {
  Pair* const pair = find(news.pair);
  if (pair != nullptr && pair->open.epoch == news.epoch) pair->kept = true;
}

PairTable::Pair* PairTable::find(const std::string& pair) {
  const auto found = pairs_.find(pair);
  return found == pairs_.end() ? nullptr : &found->second;
}

Result<std::vector<PairTable::Pair*>> PairTable::take_link(std::string_view link, LinkType type,
                                                           std::size_t at_most) {
  std::vector<Pair*> free;
  bool known = false;
  for (auto& [name, pair] : pairs_) {
    if (pair.open.session || pair.open.link != link) continue;
    known = true;
    if (const LinkType its = type_of(pair); its != type) {
      return make_error(Errc::invalid_argument,
                        "link \"" + std::string(link) + "\" is a " +
                            (its == LinkType::topic   ? "topic; take it with topic()"
                             : its == LinkType::queue ? "queue; take it with queue()"
                                                      : "channel; take it with channel()"));
    }
    if (!pair.taken) free.push_back(&pair);
  }
  if (!known) {
    return make_error(Errc::not_found, "link \"" + std::string(link) +
                                           "\" does not reach this worker (" + link_names() + ")");
  }
  if (free.empty()) {
    return make_error(Errc::already_exists, "link \"" + std::string(link) +
                                                "\" was taken before; keep its " +
                                                (type == LinkType::topic ? "Topic" : "Channel"));
  }
  if (free.size() > at_most) {
    return make_error(Errc::invalid_argument, "link \"" + std::string(link) + "\" is " +
                                                  std::to_string(free.size()) +
                                                  " pairs here; take them with channels()");
  }
  std::sort(free.begin(), free.end(), [](const Pair* a, const Pair* b) {
    return instance_order(a->open.peer) < instance_order(b->open.peer);
  });
  for (Pair* const pair : free) pair->taken = true;
  return free;
}

PairTable::LinkType PairTable::type_of(const Pair& pair) noexcept {
  if (pair.open.topic) return LinkType::topic;
  return pair.open.max_attempts != 0 ? LinkType::queue : LinkType::channel;
}

std::uint32_t PairTable::peer_index(const Pair& pair) noexcept {
  return instance_order(pair.open.peer).second;
}

const PairTable::Pair* PairTable::take_request_for(std::string_view service) {
  for (auto& [name, pair] : pairs_) {
    if (pair.taken || pair.open.role != ipc::LinkRole::server || pair.open.service != service) {
      continue;
    }
    pair.taken = true;
    return &pair;
  }
  return nullptr;
}

std::vector<std::string> PairTable::unclaimed_sessions() const {
  std::vector<std::string> names;
  for (const auto& [name, pair] : pairs_) {
    if (pair.open.role == ipc::LinkRole::client && !pair.taken) names.push_back(name);
  }
  return names;
}

std::uint32_t PairTable::link_count() const noexcept {
  return static_cast<std::uint32_t>(std::count_if(
      pairs_.begin(), pairs_.end(), [](const auto& entry) { return !entry.second.open.session; }));
}

bool PairTable::all_kept() const noexcept {
  return std::all_of(pairs_.begin(), pairs_.end(),
                     [](const auto& entry) { return entry.second.kept; });
}

void PairTable::describe(ipc::ResyncAnswer& answer) const {
  for (const auto& [name, pair] : pairs_) {
    const auto& open = pair.open;
    if (open.session) {
      answer.sessions.push_back({open.pair, open.epoch, open.peer, open.peer_generation});
    } else {
      answer.links.push_back({open.pair, open.epoch});
    }
  }
}

std::vector<const PairTable::Pair*> PairTable::all() const {
  std::vector<const Pair*> pairs;
  for (const auto& [name, pair] : pairs_) pairs.push_back(&pair);
  return pairs;
}

std::string PairTable::link_names() const {
  std::set<std::string> names;
  for (const auto& [name, pair] : pairs_) {
    if (!pair.open.session) names.insert(pair.open.link);
  }
  if (names.empty()) return "the config gives it no link";
  std::string text = "it has:";
  for (const auto& name : names) text += " " + name;
  return text;
}

}  // namespace bulkhead::workers
