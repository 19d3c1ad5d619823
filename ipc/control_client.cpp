#include "ipc/control_client.hpp"

#include <sys/random.h>

#include <cstdio>
#include <utility>

#include "ipc/control_protocol.hpp"
#include "ipc/find_system.hpp"

namespace bulkhead::ipc {
namespace {

// A request that kills every brain that takes it must not go on for ever.
constexpr int repetitions_max = 5;
// Likewise for connections that end before hello is answered.
constexpr int greetings_max = 50;

std::string random_operation() {
  std::uint64_t number = 0;
  const bool filled = ::getrandom(&number, sizeof number, 0) == ssize_t{sizeof number};
  BULKHEAD_ASSERT(filled);  // up to 256 bytes it neither fails nor is interrupted (getrandom(2))
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

bool is_error(const Packet& answer) { return answer.body.contains("error"); }

Error with_context(std::string context, const Error& error) {
  if (!error.context.empty()) context += ": " + error.context;
  return Error{error.code, std::move(context)};
}

}  // namespace

Result<ControlClient> ControlClient::open(std::string path, Deadline deadline) {
  SystemIdentity unknown;
  unknown.control_path = std::move(path);
  ControlClient client(std::move(unknown));
  if (auto connected = client.connect(deadline); !connected) return connected.error();
  return client;
}

// A connection that ends before hello was answered ended with its brain: the keeper holds the
// listening socket, so the next brain takes the next connection. No waiting is needed in between.
Result<void> ControlClient::connect(Deadline deadline) {
  for (int attempt = 0; attempt < greetings_max; ++attempt) {
    auto socket = connect_control_socket(identity_.control_path, deadline);
    if (!socket) return socket.error();
    socket_ = std::move(*socket);
    auto greeted = hello(deadline);
    if (greeted) return {};
    socket_.reset();
    if (!greeted.error().is(Errc::closed)) return greeted;
    if (deadline.expired()) return make_error(Errc::timed_out, greeted.error().context);
  }
  return make_error(Errc::protocol_violation, "what listens at " + identity_.control_path +
                                                  " never answers hello; is it a supervisor?");
}

Result<void> ControlClient::hello(Deadline deadline) {
  const std::uint64_t id = next_id_++;
  auto packet = exchange(ipc::request(id, method::hello, encode(HelloClient{})), id, deadline);
  if (!packet) return with_context("hello to " + identity_.control_path, packet.error());
  if (is_error(*packet)) return error_from(packet->body);
  const auto answer = decode<HelloClientAnswer>(packet->body["result"]);
  if (!answer) return answer.error();
  const std::string who = "the supervisor of " + answer->system;
  if (auto same = check_versions(answer->versions, who); !same) return same;
  if (identity_.keeper_pid != 0 &&
      (identity_.keeper_pid != answer->keeper_pid || identity_.name != answer->system)) {
    return make_error(Errc::no_system, "the system " + identity_.name + " (keeper " +
                                           std::to_string(identity_.keeper_pid) +
                                           ") is gone; another has taken its place");
  }
  identity_.name = answer->system;
  identity_.brain_pid = answer->brain_pid;
  identity_.keeper_pid = answer->keeper_pid;
  return {};
}

Result<Packet> ControlClient::exchange(const Json& message, std::uint64_t id, Deadline deadline) {
  const auto sent = send_packet(socket_.get(), message, {}, deadline);
  // A supervisor that refuses us says why and closes, perhaps before our words arrive.
  if (!sent && !sent.error().is(Errc::closed)) return sent.error();
  for (;;) {
    auto packet = receive_packet(socket_.get(), deadline);
    if (!packet) return packet.error();
    const auto answer = read_message(packet->body);
    if (!answer) return answer.error();
    const bool refusal = answer->kind == ControlMessage::Kind::error && answer->id == 0;
    if (refusal || (answer->is_answer() && answer->id == id)) return packet;
    // A notification that nobody waits for any more, or the answer to a request that timed out.
  }
}

Result<Packet> ControlClient::call(std::string_view method, Json params, Deadline deadline) {
  if (params.is_null()) params = Json::object();
  if (!params.is_object()) {
    return make_error(Errc::invalid_argument,
                      "request " + std::string(method) + ": its params are not an object");
  }
  // Every request may be repeated: reads do no harm, writes are recognised by this.
  if (!params.contains("operation")) params["operation"] = random_operation();
  const std::string context = "request " + std::string(method);
  for (int repetition = 0; repetition <= repetitions_max; ++repetition) {
    if (!socket_.is_open()) {
      if (auto connected = connect(deadline); !connected) return connected.error();
    }
    const std::uint64_t id = next_id_++;
    auto packet = exchange(ipc::request(id, method, params), id, deadline);
    if (packet) {
      if (is_error(*packet)) return error_from(packet->body);
      return packet;
    }
    if (packet.error().is(Errc::protocol_violation)) socket_.reset();
    if (!packet.error().is(Errc::closed)) return with_context(context, packet.error());
    socket_.reset();
  }
  return make_error(Errc::peer_died, context + ": the supervisor died over it, " +
                                         std::to_string(repetitions_max + 1) + " times");
}

Result<std::optional<Packet>> ControlClient::next_notification(Deadline deadline) {
  for (;;) {
    if (!socket_.is_open()) return std::optional<Packet>();
    auto packet = receive_packet(socket_.get(), deadline);
    if (!packet) {
      if (!packet.error().is(Errc::closed)) return packet.error();
      socket_.reset();
      continue;
    }
    const auto message = read_message(packet->body);
    if (!message) return message.error();
    if (message->kind == ControlMessage::Kind::notification) {
      return std::optional<Packet>(std::move(*packet));
    }
  }
}

}  // namespace bulkhead::ipc
