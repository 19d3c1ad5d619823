#include "supervisor/worker_desk.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include "base/clock.hpp"
#include "ipc/sealed_protocol.hpp"
#include "supervisor/sandbox.hpp"
#include "supervisor/sandbox_filter.hpp"
#include "supervisor/thread_look.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t status_text_max = 200;

}  // namespace

WorkerDesk::WorkerDesk(boost::asio::io_context& io, const SystemConfig& config, const Plan& plan,
                       KeeperClient& keeper, Callbacks callbacks)
    : io_(io),
      config_(config),
      plan_(plan),
      keeper_(keeper),
      callbacks_(std::move(callbacks)),
      resync_id_(base::monotonic_ns()),
      desks_(plan.instances.size()),
      beats_([this](Slot slot) { return is_stopped(callbacks_.pid(slot)); }),
      sealed_(plan, make_pairs(config, plan).size(), keeper) {}

void WorkerDesk::attach(Introducer& introducer, Sessions& sessions) {
  introducer_ = &introducer;
  sessions_ = &sessions;
}

const WorkerConfig& WorkerDesk::config_of(Slot slot) const {
  return config_.workers[plan_.instances[slot].worker_index];
}

// One bell per instance for all its incarnations: a start then costs one store round trip less.
Result<void> WorkerDesk::ensure_bell(Slot slot) {
  Desk& desk = desks_[slot];
  if (desk.bell || plan_.instances[slot].is_spare) return {};  // a spare sleeps on its socket alone
  const std::string tag = "attention/" + plan_.instances[slot].name;
  if (auto kept = keeper_.take(tag); kept.is_open()) {
    auto bell = AttentionBell::adopt(std::move(kept));
    if (!bell) return bell.error();
    desk.bell.emplace(std::move(*bell));
    return {};
  }
  auto bell = AttentionBell::create(plan_.instances[slot].name);
  if (!bell) return bell.error();
  if (const auto stored = keeper_.put(tag, bell->fd()); !stored) return stored.error();
  desk.bell.emplace(std::move(*bell));
  return {};
}

void WorkerDesk::make_port(Slot slot, base::UniqueFd socket) {
  const auto whose = desks_[slot].whose = std::make_shared<Slot>(slot);
  desks_[slot].hello.reset();
  desks_[slot].port = std::make_unique<ControlPort>(
      io_, std::move(socket),
      ControlPort::Callbacks{
          [this, whose](ipc::Packet packet) { received(*whose, std::move(packet)); },
          [](const Error&) {},  // the exit ring tells of deaths
          [this, whose] {
            if (auto& bell = desks_[*whose].bell) bell->bump();
          }});
}

Result<base::UniqueFd> WorkerDesk::open_port(Slot slot) {
  if (const auto bell = ensure_bell(slot); !bell) return bell.error();
  auto pair = base::make_socketpair(SOCK_SEQPACKET);
  if (!pair) return pair.error();
  const auto stored = keeper_.put("control/" + plan_.instances[slot].name, pair->first.get());
  if (!stored) return stored.error();
  desks_[slot].status_text.clear();
  desks_[slot].sandbox.reset();
  desks_[slot].speaks = false;
  desks_[slot].awaits_resync = false;
  make_port(slot, std::move(pair->first));
  return std::move(pair->second);
}

// A worker that hangs answers no resync, so its beat is watched from now on.
void WorkerDesk::adopt(Slot slot) {
  const std::string& name = plan_.instances[slot].name;
  const auto& watchdog = config_of(slot).watchdog;
  if (const auto page = keeper_.find("beat/" + name); page && watchdog) {
    (void)beats_.watch_again(slot, callbacks_.generation(slot), *page, nanoseconds(*watchdog),
                             base::monotonic_ns());
  }
  auto socket = keeper_.take("control/" + name);
  if (!socket.is_open() || !ensure_bell(slot)) return;
  make_port(slot, std::move(socket));
  desks_[slot].awaits_resync = true;
  desks_[slot].port->send(ipc::request(resync_id_, ipc::method::resync, ipc::Json::object()));
}

Result<void> WorkerDesk::prepare_promotion(Slot spare, Slot slot) {
  const auto& port = desks_[spare].port;
  const std::string& name = plan_.instances[slot].name;
  if (!port || !port->alive()) return make_error(Errc::closed, "the control socket of a spare");
  if (const auto bell = ensure_bell(slot); !bell) return bell.error();
  if (const auto output = callbacks_.output(slot); !output) return output.error();
  if (const auto crash = callbacks_.crash_page(slot); !crash) return crash.error();
  return keeper_.put("control/" + name, port->fd());
}

// One that this brain has adopted says hello again after its resync answer, and is welcomed then.
void WorkerDesk::promote(Slot spare, Slot slot) {
  Desk& from = desks_[spare];
  Desk& to = desks_[slot];
  to.port = std::move(from.port);
  to.whose = std::move(from.whose);
  *to.whose = slot;
  to.status_text.clear();
  to.sandbox.reset();
  to.awaits_resync = std::exchange(from.awaits_resync, false);
  const auto hello = std::exchange(from.hello, std::nullopt);
  if (hello) answer(slot, hello->id, welcome(slot, hello->id, hello->beat));
}

void WorkerDesk::died(Slot slot) {
  if (desks_[slot].port) desks_[slot].port->drain();
  desks_[slot].port.reset();
  desks_[slot].hello.reset();
  desks_[slot].speaks = false;
  desks_[slot].status_text.clear();
  desks_[slot].sandbox.reset();
  beats_.forget(slot);
}

void WorkerDesk::send(Slot slot, std::string_view method, ipc::Json params,
                      std::span<const int> fds) {
  if (desks_[slot].port) desks_[slot].port->send(ipc::notification(method, std::move(params)), fds);
}

void WorkerDesk::ask_to_stop(Slot slot, Duration timeout) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  send(slot, ipc::method::stop, ipc::encode(ipc::Stop{static_cast<std::uint64_t>(ms)}), {});
}

// A violation is the worker's, and costs it an error; it never costs the brain more than this call.
void WorkerDesk::received(Slot slot, ipc::Packet packet) {
  const auto message = ipc::read_message(packet.body);
  if (!message) return callbacks_.violated(slot, message.error());
  Result<void> taken;
  if (message->is_answer()) {
    taken = take_answer(slot, *message);
  } else if (message->kind == ipc::ControlMessage::Kind::request) {
    // What a predecessor left unread is asked again after the resync answer; to answer it now would
    // be to answer it twice.
    if (desks_[slot].awaits_resync) return;
    return answer(slot, message->id, take_request(slot, *message, packet));
  } else if (!desks_[slot].awaits_resync) {  // meant for our predecessor, and said again
    taken = take_notification(slot, *message, packet);
  }
  if (!taken) callbacks_.violated(slot, taken.error());
}

// A request that was taken has its answer, or will have.
void WorkerDesk::answer(Slot slot, std::uint64_t id, const Result<void>& taken) {
  if (taken) return;
  if (desks_[slot].port) desks_[slot].port->send(ipc::error_answer(id, taken.error()));
  callbacks_.violated(slot, taken.error());
}

Result<void> WorkerDesk::take_request(Slot slot, const ipc::ControlMessage& message,
                                      ipc::Packet& packet) {
  if (message.method == ipc::method::hello)
    return greet(slot, message.id, *message.content, packet);
  if (message.method == ipc::method::service_connect) {
    const auto wanted = ipc::decode<ipc::ServiceConnect>(*message.content);
    if (!wanted) return wanted.error();
    connect_service(slot, message.id, *wanted);
    return {};
  }
  if (message.method == ipc::method::task_quarantined) {
    const auto task = ipc::decode<ipc::TaskQuarantined>(*message.content);
    if (!task) return task.error();
    const auto where = introducer_->quarantined(slot, *task);
    if (!where) return where.error();
    callbacks_.quarantined(*where, *task);
    if (desks_[slot].port) desks_[slot].port->send(ipc::result(message.id, ipc::Json::object()));
    return {};
  }
  if (message.method.starts_with("sealed.")) return take_sealed(slot, message, packet);
  return make_error(Errc::method_not_found, std::string(message.method));
}

// A refusal is an answer like any other; only what no worker of ours says is a violation.
Result<void> WorkerDesk::take_sealed(Slot slot, const ipc::ControlMessage& message,
                                     ipc::Packet& packet) {
  ControlPort* const port = desks_[slot].port.get();
  const auto answer = [&](const Result<ipc::Json>& outcome, std::span<const int> fds = {}) {
    if (port == nullptr) return;
    port->send(outcome ? ipc::result(message.id, *outcome)
                       : ipc::error_answer(message.id, outcome.error()),
               fds);
  };
  const auto done = [](const Result<void>& outcome) -> Result<ipc::Json> {
    if (!outcome) return outcome.error();
    return ipc::Json::object();
  };
  if (message.method == ipc::method::sealed_list) {
    answer(ipc::encode(ipc::SealedList{sealed_.of(slot)}));
    return {};
  }
  if (message.method == ipc::method::sealed_keep) {
    const auto keep = ipc::decode<ipc::SealedKeep>(*message.content);
    if (!keep) return keep.error();
    auto memory = ipc::fd_named(packet, "memory");
    if (!memory) return memory.error();
    const auto kept = sealed_.keep(slot, keep->ticket, std::move(*memory));
    if (!kept && kept.error().is(Errc::protocol_violation)) return kept.error();
    answer(done(kept));
    return {};
  }
  const bool drops = message.method == ipc::method::sealed_drop;
  if (!drops && message.method != ipc::method::sealed_open) {
    return make_error(Errc::method_not_found, std::string(message.method));
  }
  const auto name = ipc::decode<ipc::SealedName>(*message.content);
  if (!name) return name.error();
  if (drops) {
    answer(done(sealed_.drop(slot, name->ticket)));
    return {};
  }
  const auto memory = sealed_.find(name->ticket);
  if (memory) {
    answer(ipc::encode(ipc::SealedOpened{}), std::span<const int>(&*memory, 1));
  } else {
    answer(memory.error());
  }
  return {};
}

// Before the answer to hello: a worker that has the one has the other, whichever brains were there meanwhile.
Result<void> WorkerDesk::send_sandbox(Slot slot) {
  const WorkerConfig& config = config_of(slot);
  if (config.sandbox != Sandbox::strict) return {};
  const auto filter = make_sandbox_filter(callbacks_.pid(slot));
  if (!filter) return filter.error();
  const int fds[] = {filter->get()};
  send(slot, ipc::method::sandbox_install, ipc::encode(sandbox_files(config, config_)), fds);
  return {};
}

Result<void> WorkerDesk::greet(Slot slot, std::uint64_t id, const ipc::Json& params,
                               ipc::Packet& packet) {
  const auto hello = ipc::decode<ipc::HelloWorker>(params);
  if (!hello) return hello.error();
  const std::string& name = plan_.instances[slot].name;
  if (const auto same = ipc::check_versions(hello->versions, name); !same) return same.error();
  if (!is_its_generation(slot, hello->generation)) {
    return make_error(Errc::protocol_violation,
                      name + " says it is generation " + std::to_string(hello->generation));
  }
  auto beat = ipc::fd_named(packet, "beat");
  if (!beat) return beat.error();
  if (!plan_.instances[slot].is_spare) return welcome(slot, id, *beat);
  desks_[slot].hello = Hello{id, std::move(*beat)};
  callbacks_.ready(slot, hello->generation);
  return {};
}

// One that was a spare may not have heard yet that it is not.
bool WorkerDesk::is_its_generation(Slot slot, Generation said) const {
  const Generation was = callbacks_.was_spare(slot);
  return said == callbacks_.generation(slot) || (was != 0 && said == was);
}

Result<void> WorkerDesk::welcome(Slot slot, std::uint64_t id, const base::UniqueFd& beat) {
  const WorkerConfig& config = config_of(slot);
  const std::string& name = plan_.instances[slot].name;
  const Generation generation = callbacks_.generation(slot);
  if (config.watchdog) {
    const auto watched = beats_.watch(slot, generation, beat.get(), nanoseconds(*config.watchdog),
                                      base::monotonic_ns());
    if (!watched) return watched.error();
    if (const auto kept = keeper_.put("beat/" + name, beat.get()); !kept) return kept.error();
  }
  ipc::HelloAnswer answer;
  answer.name = name;
  answer.worker = config.name;
  answer.index = plan_.instances[slot].index;
  answer.generation = generation;
  answer.config = ipc::Json::parse(config.config_json, nullptr, false);
  answer.links = introducer_->count_links(slot);
  answer.watchdog_ms = config.watchdog ? nanoseconds(*config.watchdog) / 1'000'000 : 0;
  for (const auto& provided : config.provides) answer.provides.push_back(provided.name);
  const auto attention = desks_[slot].bell->read_only();
  if (!attention) return attention.error();
  const auto crash = callbacks_.crash_page(slot);
  if (!crash) return crash.error();
  answer.crash = true;
  std::vector<int> fds{attention->get(), *crash};
  if (callbacks_.was_spare(slot) != 0) {
    const auto output = callbacks_.output(slot);
    if (!output) return output.error();
    answer.cookie = callbacks_.cookie(slot);
    fds.push_back(*output);
  }
  if (const auto sent = send_sandbox(slot); !sent) return sent.error();
  desks_[slot].port->send(ipc::result(id, ipc::encode(answer)), fds);
  desks_[slot].speaks = desks_[slot].has_spoken = true;
  introducer_->open_links(slot);
  return {};
}

void WorkerDesk::connect_service(Slot slot, std::uint64_t id, const ipc::ServiceConnect& wanted) {
  const Generation generation = callbacks_.generation(slot);
  const TimeNs patience = std::min<std::uint64_t>(wanted.timeout_ms, 3'600'000) * 1'000'000;
  sessions_->connect(
      slot, wanted.service, base::monotonic_ns() + patience,
      [this, slot, id, generation](Result<Sessions::Connected> connected) {
        if (!desks_[slot].port || callbacks_.generation(slot) != generation) return;
        desks_[slot].port->send(
            connected ? ipc::result(id, ipc::encode(ipc::ServiceConnectAnswer{connected->pair, ""}))
                      : ipc::error_answer(id, connected.error()));
      });
}

Result<void> WorkerDesk::take_answer(Slot slot, const ipc::ControlMessage& message) {
  if (message.id != resync_id_ || message.kind == ipc::ControlMessage::Kind::error) return {};
  if (!desks_[slot].awaits_resync) return {};  // once is enough
  const auto answer = ipc::decode<ipc::ResyncAnswer>(*message.content);
  if (!answer) return answer.error();
  if (!is_its_generation(slot, answer->generation)) return {};
  desks_[slot].awaits_resync = false;
  desks_[slot].speaks = desks_[slot].has_spoken = true;
  introducer_->resynced(slot, *answer);
  sessions_->resynced(slot, *answer);
  if (answer->phase == ipc::WorkerPhase::ready) callbacks_.ready(slot, answer->generation);
  return {};
}

Result<void> WorkerDesk::take_notification(Slot slot, const ipc::ControlMessage& message,
                                           ipc::Packet& packet) {
  const ipc::Json& params = *message.content;
  if (message.method == ipc::method::ready) {
    const auto ready = ipc::decode<ipc::Ready>(params);
    if (!ready) return ready.error();
    callbacks_.ready(slot, ready->generation);
    return {};
  }
  if (message.method == ipc::method::link_offer) {
    const auto offer = ipc::decode<ipc::LinkOffer>(params);
    if (!offer) return offer.error();
    auto segment = ipc::fd_named(packet, "segment");
    if (!segment) return segment.error();
    if (sessions_->offered(slot, *offer, *segment)) return {};
    return introducer_->offered(slot, *offer, std::move(*segment));
  }
  if (message.method == ipc::method::link_closed) {
    const auto closed = ipc::decode<ipc::LinkClosed>(params);
    if (!closed) return closed.error();
    if (sessions_->closed(slot, *closed)) return {};
    return introducer_->closed(slot, *closed);
  }
  if (message.method == ipc::method::link_cut) {
    const auto cut = ipc::decode<ipc::LinkCut>(params);
    if (!cut) return cut.error();
    return introducer_->cut(slot, *cut);
  }
  if (message.method == ipc::method::sandbox_installed) {
    auto installed = ipc::decode<ipc::SandboxInstalled>(params);
    if (!installed) return installed.error();
    desks_[slot].sandbox = std::move(*installed);
    return {};
  }
  if (message.method == ipc::method::status) {
    std::string text;
    ipc::FieldReader fields("status", params);
    if (fields.required("text", text).failed()) return fields.error();
    std::size_t size = std::min(text.size(), status_text_max);
    while (size < text.size() && size > 0 && (text[size] & 0xC0) == 0x80)
      --size;  // whole characters
    desks_[slot].status_text = text.substr(0, size);
    return {};
  }
  return {};  // a newer runtime may say more than we know
}

}  // namespace bulkhead::supervisor
