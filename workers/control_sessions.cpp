// The part of ControlLink that finds services for clients and clients for services.
#include <algorithm>
#include <chrono>
#include <utility>

#include "ipc/endpoint.hpp"
#include "workers/control_link.hpp"

namespace bulkhead::workers {
namespace {

// How long the brain keeps one request: short enough that a request which no brain remembers is made
// again soon, long enough to cost nothing.
constexpr std::chrono::milliseconds connect_slice{5000};

std::uint64_t slice_of(Deadline deadline) noexcept {
  if (deadline.is_never()) return static_cast<std::uint64_t>(connect_slice.count());
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
  return static_cast<std::uint64_t>(
      std::clamp(left, std::chrono::milliseconds(1), connect_slice).count());
}

}  // namespace

std::uint64_t ControlLink::begin_request(std::string_view method, ipc::Json params,
                                         std::vector<int> fds) {
  const auto id = next_request_++;
  Request request;
  request.message = ipc::request(id, method, std::move(params));
  request.fds = std::move(fds);
  send(request.message, request.fds);
  requests_.emplace(id, std::move(request));
  return id;
}

Result<ipc::Packet> ControlLink::finish_request(std::uint64_t id, Deadline deadline) {
  const auto waited = wait(deadline, [&] { return requests_.at(id).answer.has_value(); });
  const std::scoped_lock lock(mutex_);
  Request& request = requests_.at(id);
  if (!request.answer) {
    request.abandoned = true;
    return waited.error();
  }
  auto done = std::move(request);
  requests_.erase(id);
  if (done.error) return *done.error;
  return std::move(*done.answer);
}

Result<ipc::Packet> ControlLink::ask(std::string_view method, ipc::Json params, Deadline deadline,
                                     std::vector<int> fds) {
  std::uint64_t id = 0;
  {
    const std::scoped_lock lock(mutex_);
    id = begin_request(method, std::move(params), std::move(fds));
  }
  return finish_request(id, deadline);
}

Result<ControlLink::Session> ControlLink::connect(std::string_view service, Deadline deadline) {
  for (;;) {
    auto session = connect_once(service, deadline);
    // A provider that died while it was being connected is not the caller's call that died.
    const bool again =
        !session && (session.error().is(Errc::timed_out) || session.error().is(Errc::peer_died));
    if (!again) return session;
    if (deadline.expired()) {
      return make_error(Errc::timed_out, "no instance of service \"" + std::string(service) +
                                             "\" was ready before the deadline");
    }
  }
}

Result<ControlLink::Session> ControlLink::connect_once(std::string_view service,
                                                       Deadline deadline) {
  const ipc::ServiceConnect message{std::string(service), slice_of(deadline)};
  auto packet = ask(ipc::method::service_connect, ipc::encode(message), deadline);
  if (!packet) return packet.error();
  const auto answer = ipc::decode<ipc::ServiceConnectAnswer>(packet->body["result"]);
  if (!answer) return answer.error();
  const std::scoped_lock lock(mutex_);
  auto* const pair = pairs_.find(answer->pair);
  // Ended between the answer and now: its server died, or a new brain was told that nobody uses it.
  if (pair == nullptr) return make_error(Errc::peer_died, answer->pair);
  pair->taken = true;
  return Session{answer->pair, Channel(pair->endpoint)};
}

std::optional<ControlLink::Session> ControlLink::accept(std::string_view service) {
  const std::scoped_lock lock(mutex_);
  const auto* const pair = pairs_.take_request_for(service);
  if (pair == nullptr) return std::nullopt;
  return Session{pair->open.pair, Channel(pair->endpoint)};
}

bool ControlLink::peer_gone(const std::string& name) {
  glance();
  const std::scoped_lock lock(mutex_);
  const auto* const pair = pairs_.find(name);
  return pair == nullptr || pair->peer_gone;
}

void ControlLink::close_session(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  erase_session(name);
}

}  // namespace bulkhead::workers
