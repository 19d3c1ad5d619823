// What ControlLink does with a packet of the brain. Everything here runs under its lock.
#include <cstdio>
#include <utility>

#include "ipc/endpoint.hpp"
#include "workers/control_link.hpp"
#include "workers/crash_reporter.hpp"
#include "workers/identity.hpp"
#include "workers/leak.hpp"
#include "workers/link_attention.hpp"

namespace bulkhead::workers {

void ControlLink::take(ipc::Packet packet) {
  const auto incoming = ipc::read_message(packet.body);
  if (!incoming) return complain(incoming.error());
  if (!incoming->is_answer()) return take_call(packet, *incoming);
  std::optional<Error> error;
  if (incoming->kind == ipc::ControlMessage::Kind::error) error = ipc::error_from(packet.body);
  take_answer(std::move(packet), incoming->id, std::move(error));
}

void ControlLink::take_call(ipc::Packet& packet, const ipc::ControlMessage& call) {
  if (call.method == ipc::method::link_open) return link_opened(packet, *call.content);
  if (call.method == ipc::method::link_peer) return link_peer(packet, *call.content);
  if (call.method == ipc::method::link_kept) return link_kept(*call.content);
  if (call.method == ipc::method::stop) return raise_stop();
  if (call.method == ipc::method::leak) return take_leak(*call.content);
  if (call.method == ipc::method::sandbox_install) return take_sandbox(packet, *call.content);
  const bool wants_answer = call.kind == ipc::ControlMessage::Kind::request;
  if (call.method == ipc::method::resync && wants_answer) return answer_resync(call.id);
  if (wants_answer) {
    send(ipc::error_answer(call.id, make_error(Errc::method_not_found, std::string(call.method))));
  }
}

void ControlLink::take_answer(ipc::Packet packet, std::uint64_t id, std::optional<Error> error) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) {  // said twice, by two brains
    if (!error) drop_unclaimed(packet);
    return;
  }
  if (id == hello_request_) {
    requests_.erase(found);
    return take_hello(packet, error);
  }
  Request& request = found->second;
  if (request.abandoned) {
    requests_.erase(found);
    if (!error) drop_unclaimed(packet);
    return;
  }
  request.error = std::move(error);
  request.answer = std::move(packet);
}

Result<void> ControlLink::map_attention(ipc::Packet& packet) {
  const auto fd = ipc::fd_named(packet, "attention");
  if (!fd) return fd.error();
  const auto size = base::file_size(fd->get());
  if (!size) return size.error();
  if (*size < ipc::worker_page_bytes) {
    return make_error(Errc::protocol_violation, "the attention page is too small");
  }
  auto page = base::MappedRegion::map(fd->get(), ipc::worker_page_bytes, base::Access::read_only);
  if (!page) return page.error();
  attention_page_ = std::move(*page);
  return {};
}

// The page is mapped here and not where the answer is waited for, because the links that follow in the
// next packets already need it.
void ControlLink::take_hello(ipc::Packet& packet, const std::optional<Error>& error) {
  const auto fail = [&](Error why) {
    why.context = "saying hello to the supervisor: " + why.context;
    failure_ = std::move(why);
  };
  if (error) return fail(*error);
  auto answer = ipc::decode<ipc::HelloAnswer>(packet.body["result"]);
  if (!answer) return fail(answer.error());
  if (attention_page_.data() == nullptr) {  // else said again after a resync; the page is the same
    if (auto mapped = map_attention(packet); !mapped) return fail(mapped.error());
  }
  generation_ = answer->generation;
  heart_.belongs_to(generation_);
  if (!answer->cookie.empty()) {
    const auto output = ipc::fd_named(packet, "output");
    if (!output) return fail(output.error());
    if (auto taken = take_identity(*answer, *output); !taken) return fail(taken.error());
  }
  if (answer->crash) {
    auto page = ipc::fd_named(packet, "crash");
    const auto begun =
        page ? begin_crash_reports(std::move(*page), generation_) : Result<void>(page.error());
    if (!begun) complain(begun.error());  // it works without
  }
  hello_ = std::move(*answer);
}

// A link of the config that cannot be opened is the end: the worker was promised it, and would wait.
void ControlLink::link_opened(ipc::Packet& packet, const ipc::Json& params) {
  const auto fail = [&](const Error& why) {
    complain(why);
    failure_ = why;
  };
  auto open = ipc::decode<ipc::LinkOpen>(params);
  if (!open) return fail(open.error());
  base::UniqueFd predecessor;
  if (open->predecessor) {
    auto fd = ipc::fd_named(packet, "predecessor");
    if (!fd) return fail(fd.error());
    predecessor = std::move(*fd);
  }
  base::UniqueFd shared;
  if (open->journal || open->lease) {
    auto fd = ipc::fd_named(packet, open->journal ? "journal" : "lease");
    if (!fd) return fail(fd.error());
    shared = std::move(*fd);
  }
  const bool session = open->session;
  const ipc::LinkClosed closed{open->pair, open->epoch};
  std::shared_ptr<ipc::Attention> attention = shared_from_this();
  if (!session) attention = std::make_shared<LinkAttention>(shared_from_this(), open->pair);
  const auto opened = pairs_.open(std::move(*open), std::move(predecessor), std::move(shared),
                                  std::move(attention));
  if (opened) {
    if (*opened != nullptr) offer(**opened);
    return;
  }
  if (session) {
    complain(opened.error());
    send(ipc::notification(ipc::method::link_closed, ipc::encode(closed)));
  } else {
    failure_ = opened.error();
  }
}

void ControlLink::link_peer(ipc::Packet& packet, const ipc::Json& params) {
  const auto news = ipc::decode<ipc::LinkPeer>(params);
  if (!news) return complain(news.error());
  auto fds = ipc::take_fds(packet);
  if (!fds) return complain(fds.error());
  // No such pair: a session that was closed meanwhile.
  if (pairs_.update(*news, std::move(*fds))) drop_unclaimed_if_gone(news->pair);
}

// What does not fit into its memory ends the process, as anywhere else in it: service() is noexcept.
void ControlLink::take_leak(const ipc::Json& params) {
  const auto wanted = ipc::decode<ipc::Leak>(params);
  if (!wanted) return complain(wanted.error());
  leak(*wanted, socket_.get());
}

void ControlLink::link_kept(const ipc::Json& params) {
  const auto kept = ipc::decode<ipc::LinkKept>(params);
  if (!kept) return complain(kept.error());
  pairs_.mark_kept(*kept);
}

// Says everything that the new brain cannot know for certain, in the order in which it was said first.
void ControlLink::answer_resync(std::uint64_t id) {
  for (const auto& session : pairs_.unclaimed_sessions()) erase_session(session);
  ipc::ResyncAnswer answer;
  answer.generation = generation_;
  answer.phase = phase_;
  pairs_.describe(answer);
  send(ipc::result(id, ipc::encode(answer)));
  for (const auto* const pair : pairs_.all()) {
    offer(*pair);
    if (pair->closed) send_closed(*pair);
    if (pair->cut_from != 0) send_cut(*pair);
  }
  for (const auto& [number, request] : requests_) {
    if (!request.answer && !request.abandoned) send(request.message, request.fds);
  }
  if (hello_ && pairs_.link_count() < hello_->links) say_hello();
  if (status_) send_status();
  if (confined_) send_confined();
}

void ControlLink::offer(const PairTable::Pair& pair) {
  const int segment = pair.endpoint->segment_fd();
  if (segment < 0) return;
  const ipc::LinkOffer message{pair.open.pair, pair.open.epoch};
  const int fds[] = {segment};
  send(ipc::notification(ipc::method::link_offer, ipc::encode(message)), fds);
}

void ControlLink::send_closed(const PairTable::Pair& pair) {
  const ipc::LinkClosed message{pair.open.pair, pair.open.epoch};
  send(ipc::notification(ipc::method::link_closed, ipc::encode(message)));
}

void ControlLink::send_cut(const PairTable::Pair& pair) {
  const ipc::LinkCut message{pair.open.pair, pair.open.epoch, pair.cut_from};
  send(ipc::notification(ipc::method::link_cut, ipc::encode(message)));
}

// The answer to a call for which nobody waits any more opened a session that nobody will use.
void ControlLink::drop_unclaimed(const ipc::Packet& packet) {
  const auto answer = ipc::decode<ipc::ServiceConnectAnswer>(packet.body.at("result"));
  const auto* const pair = answer ? pairs_.find(answer->pair) : nullptr;
  if (pair != nullptr && !pair->taken) erase_session(answer->pair);
}

// A server that dies before the client has heard of the session: the request is answered with an error.
void ControlLink::drop_unclaimed_if_gone(const std::string& name) {
  const auto* const pair = pairs_.find(name);
  const bool unclaimed = pair->open.role == ipc::LinkRole::client && !pair->taken;
  if (unclaimed && pair->peer_gone) erase_session(name);
}

void ControlLink::erase_session(const std::string& name) {
  const auto* const pair = pairs_.find(name);
  if (pair == nullptr) return;
  send_closed(*pair);
  pairs_.erase(name);
}

}  // namespace bulkhead::workers
