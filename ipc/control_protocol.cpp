#include "ipc/control_protocol.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>

namespace bulkhead::ipc {
namespace {

constexpr std::string_view hello_role_names[] = {"worker", "client"};
constexpr std::string_view update_names[] = {"peer_segment", "peer_died", "sockets", "peer_closed"};
constexpr std::string_view phase_names[] = {"starting", "ready", "stopping"};

// 64 bits do not survive a JSON number in every language, so the hash travels as hex.
std::string to_hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::optional<std::uint64_t> from_hex(std::string_view text) {
  std::uint64_t value = 0;
  const auto end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value, 16);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return value;
}

void put_versions(Json& to, const Versions& versions) {
  to["protocol"] = Json::array({versions.major, versions.minor});
  to["layout"] = to_hex(versions.layout);
}

void read_versions(FieldReader& in, Versions& to) {
  Json protocol;
  std::string layout;
  in.required("protocol", protocol).required("layout", layout);
  if (in.failed()) return;
  const auto is_version = [](const Json& number) {
    return number.is_number_unsigned() && number.get<std::uint64_t>() <= 0xffff;
  };
  if (!protocol.is_array() || protocol.size() != 2 || !is_version(protocol[0]) ||
      !is_version(protocol[1])) {
    return void(in.reject("protocol", "is not [major, minor]"));
  }
  to.major = protocol[0].get<std::uint16_t>();
  to.minor = protocol[1].get<std::uint16_t>();
  const auto hash = from_hex(layout);
  if (!hash) return void(in.reject("layout", "is not a hexadecimal number"));
  to.layout = *hash;
}

std::string in_words(const Versions& versions) {
  return std::to_string(versions.major) + "." + std::to_string(versions.minor) + " with layout " +
         to_hex(versions.layout);
}

Error descriptor_error(std::string what) {
  return make_error(Errc::protocol_violation, "control message: " + std::move(what));
}

// The names under `fds`, wherever the message has them; null when there are none.
const Json* names_of_fds(const Json& body) {
  for (const char* const part : {"params", "result"}) {
    if (!body.is_object()) break;
    const auto content = body.find(part);
    if (content == body.end() || !content->is_object()) continue;
    const auto names = content->find("fds");
    if (names != content->end() && names->is_array()) return &*names;
  }
  return nullptr;
}

}  // namespace

Result<base::UniqueFd> fd_named(Packet& packet, std::string_view name) {
  const Json* const names = names_of_fds(packet.body);
  for (std::size_t i = 0; names != nullptr && i < names->size(); ++i) {
    if ((*names)[i] != name) continue;
    if (i >= packet.fds.size() || !packet.fds[i].is_open()) break;
    return std::move(packet.fds[i]);
  }
  return descriptor_error("descriptor " + std::string(name) + " is missing");
}

Result<std::vector<base::UniqueFd>> take_fds(Packet& packet) {
  const Json* const names = names_of_fds(packet.body);
  const std::size_t named = names == nullptr ? 0 : names->size();
  if (named != packet.fds.size()) {
    return descriptor_error("it names " + std::to_string(named) + " descriptors and brings " +
                            std::to_string(packet.fds.size()));
  }
  return std::move(packet.fds);
}

Result<void> check_versions(const Versions& theirs, std::string_view who) {
  const Versions ours;
  if (theirs.major == ours.major && theirs.layout == ours.layout) return {};
  return make_error(Errc::version_mismatch, std::string(who) + " speaks protocol " +
                                                in_words(theirs) + ", we speak " + in_words(ours) +
                                                "; use programs of one build");
}

Result<HelloRole> hello_role(const Json& params) {
  HelloRole role{};
  FieldReader in(method::hello, params);
  in.required_name("role", hello_role_names, role);
  return in.finish(role);
}

Json encode(const HelloWorker& hello) {
  Json to{{"role", "worker"}, {"generation", hello.generation}, {"fds", Json::array({"beat"})}};
  put_versions(to, hello.versions);
  return to;
}

template <>
Result<HelloWorker> decode(const Json& params) {
  HelloWorker hello;
  FieldReader in(method::hello, params);
  read_versions(in, hello.versions);
  in.required("generation", hello.generation);
  return in.finish(std::move(hello));
}

Json encode(const HelloAnswer& answer) {
  auto fds = Json::array({"attention"});
  if (answer.crash) fds.push_back("crash");
  if (!answer.cookie.empty()) fds.push_back("output");
  Json to{{"name", answer.name},
          {"worker", answer.worker},
          {"index", answer.index},
          {"generation", answer.generation},
          {"config", answer.config},
          {"links", answer.links},
          {"watchdog_ms", answer.watchdog_ms},
          {"provides", answer.provides},
          {"fds", std::move(fds)}};
  if (!answer.cookie.empty()) to["cookie"] = answer.cookie;
  return to;
}

template <>
Result<HelloAnswer> decode(const Json& params) {
  HelloAnswer answer;
  std::vector<std::string> fds;
  FieldReader in("hello (answer)", params);
  in.required("name", answer.name)
      .required("worker", answer.worker)
      .required("index", answer.index)
      .required("generation", answer.generation)
      .optional("config", answer.config)
      .required("links", answer.links)
      .optional("watchdog_ms", answer.watchdog_ms)
      .optional("provides", answer.provides)
      .optional("cookie", answer.cookie)
      .optional("fds", fds);
  answer.crash = std::find(fds.begin(), fds.end(), "crash") != fds.end();
  return in.finish(std::move(answer));
}

Json encode(const HelloClient& hello) {
  Json to{{"role", "client"}};
  put_versions(to, hello.versions);
  return to;
}

template <>
Result<HelloClient> decode(const Json& params) {
  HelloClient hello;
  FieldReader in(method::hello, params);
  read_versions(in, hello.versions);
  return in.finish(hello);
}

Json encode(const HelloClientAnswer& answer) {
  Json to{{"system", answer.system},
          {"brain_pid", answer.brain_pid},
          {"keeper_pid", answer.keeper_pid}};
  put_versions(to, answer.versions);
  return to;
}

template <>
Result<HelloClientAnswer> decode(const Json& params) {
  HelloClientAnswer answer;
  FieldReader in("hello (answer)", params);
  read_versions(in, answer.versions);
  in.required("system", answer.system)
      .required("brain_pid", answer.brain_pid)
      .required("keeper_pid", answer.keeper_pid);
  // Somebody may send these a signal, and 0 or -1 would reach everybody.
  if (answer.brain_pid <= 0) in.reject("brain_pid", "is no process");
  if (answer.keeper_pid <= 0) in.reject("keeper_pid", "is no process");
  return in.finish(std::move(answer));
}

Json encode(const Ready& ready) { return {{"generation", ready.generation}}; }

template <>
Result<Ready> decode(const Json& params) {
  Ready ready;
  FieldReader in(method::ready, params);
  in.required("generation", ready.generation);
  return in.finish(ready);
}

Json encode(const LinkPeer& peer) {
  Json to{{"pair", peer.pair}, {"epoch", peer.epoch}, {"kind", name_of(update_names, peer.kind)}};
  if (!peer.fds.empty()) to["fds"] = peer.fds;
  return to;
}

template <>
Result<LinkPeer> decode(const Json& params) {
  LinkPeer peer;
  FieldReader in(method::link_peer, params);
  in.required("pair", peer.pair)
      .required("epoch", peer.epoch)
      .required_name("kind", update_names, peer.kind)
      .optional("fds", peer.fds);
  return in.finish(std::move(peer));
}

Json encode(const LinkOffer& offer) {
  return {{"pair", offer.pair}, {"epoch", offer.epoch}, {"fds", Json::array({"segment"})}};
}

template <>
Result<LinkOffer> decode(const Json& params) {
  LinkOffer offer;
  FieldReader in(method::link_offer, params);
  in.required("pair", offer.pair).required("epoch", offer.epoch);
  return in.finish(std::move(offer));
}

Json encode(const LinkKept& kept) { return {{"pair", kept.pair}, {"epoch", kept.epoch}}; }

template <>
Result<LinkKept> decode(const Json& params) {
  LinkKept kept;
  FieldReader in(method::link_kept, params);
  in.required("pair", kept.pair).required("epoch", kept.epoch);
  return in.finish(std::move(kept));
}

Json encode(const LinkClosed& closed) { return {{"pair", closed.pair}, {"epoch", closed.epoch}}; }

template <>
Result<LinkClosed> decode(const Json& params) {
  LinkClosed closed;
  FieldReader in(method::link_closed, params);
  in.required("pair", closed.pair).required("epoch", closed.epoch);
  return in.finish(std::move(closed));
}

Json encode(const ServiceConnect& connect) {
  return {{"service", connect.service}, {"timeout_ms", connect.timeout_ms}};
}

template <>
Result<ServiceConnect> decode(const Json& params) {
  ServiceConnect connect;
  FieldReader in(method::service_connect, params);
  in.required("service", connect.service).required("timeout_ms", connect.timeout_ms);
  return in.finish(std::move(connect));
}

Json encode(const ServiceConnectAnswer& answer) {
  Json to{{"pair", answer.pair}};
  if (!answer.transport.empty()) {
    to["transport"] = answer.transport;
    to["fds"] = Json::array({"socket"});
  }
  return to;
}

template <>
Result<ServiceConnectAnswer> decode(const Json& params) {
  ServiceConnectAnswer answer;
  FieldReader in("service.connect (answer)", params);
  in.required("pair", answer.pair).optional("transport", answer.transport);
  return in.finish(std::move(answer));
}

Json encode(const Stop& stop) { return {{"timeout_ms", stop.timeout_ms}}; }

template <>
Result<Stop> decode(const Json& params) {
  Stop stop;
  FieldReader in(method::stop, params);
  in.required("timeout_ms", stop.timeout_ms);
  return in.finish(stop);
}

Json encode(const ResyncAnswer& answer) {
  Json links = Json::array(), sessions = Json::array();
  for (const auto& link : answer.links) {
    links.push_back({{"pair", link.pair}, {"epoch", link.epoch}});
  }
  for (const auto& session : answer.sessions) {
    sessions.push_back({{"pair", session.pair},
                        {"epoch", session.epoch},
                        {"peer", session.peer},
                        {"peer_generation", session.peer_generation}});
  }
  return {{"generation", answer.generation},
          {"phase", name_of(phase_names, answer.phase)},
          {"links", std::move(links)},
          {"sessions", std::move(sessions)}};
}

template <>
Result<ResyncAnswer> decode(const Json& params) {
  ResyncAnswer answer;
  Json links, sessions;
  FieldReader in("resync (answer)", params);
  in.required("generation", answer.generation)
      .required_name("phase", phase_names, answer.phase)
      .required("links", links)
      .required("sessions", sessions);
  if (!links.is_array()) in.reject("links", "is not an array");
  if (!sessions.is_array()) in.reject("sessions", "is not an array");
  if (in.failed()) return in.error();
  for (const auto& one : links) {
    auto& link = answer.links.emplace_back();
    FieldReader inner("resync (answer), links", one);
    inner.required("pair", link.pair).required("epoch", link.epoch);
    if (inner.failed()) return inner.error();
  }
  for (const auto& one : sessions) {
    auto& session = answer.sessions.emplace_back();
    FieldReader inner("resync (answer), sessions", one);
    inner.required("pair", session.pair)
        .required("epoch", session.epoch)
        .required("peer", session.peer)
        .required("peer_generation", session.peer_generation);
    if (inner.failed()) return inner.error();
  }
  return answer;
}

}  // namespace bulkhead::ipc
