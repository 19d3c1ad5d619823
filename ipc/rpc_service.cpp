// The serving side of RPC: from a request's frame to an answer's frame, and the loop around it. What
// a method does wrong stays inside its answer.
#include <bulkhead/rpc.hpp>

#include <algorithm>
#include <exception>

#include "ipc/endpoint.hpp"
#include "ipc/rpc_frame.hpp"

namespace bulkhead {
namespace {

// The wall against exceptions of methods.
Result<rpc::Reply> carry_out(const rpc::RawMethod& method, const ipc::RpcRequest& request) {
  try {
    return method(request.kind, request.body);
  } catch (const std::exception& error) {
    return make_error(Errc::remote_error, error.what());
  } catch (...) {
    return make_error(Errc::remote_error, "an exception that is no std::exception");
  }
}

std::size_t frame_bytes_max(Channel& channel) {
  return channel.endpoint().spec().options.max_message;
}

Result<void> answer_message(Channel& channel, const Service& service, Message message,
                            Deadline answer_by) {
  // Copied first: a hostile client can still write to a message in shared memory.
  const Bytes request = message.copy();
  const auto frame = service.answer(request, frame_bytes_max(channel));
  if (!frame) return frame.error();
  // The message is let go only after its answer is under way: a server that dies before leaves the
  // request to its successor.
  return channel.send(*frame, answer_by);
}

}  // namespace

Service& Service::on_raw(std::string name, rpc::RawMethod method) {
  const auto same = [&name](const auto& known) { return known.first == name; };
  if (const auto known = std::find_if(methods_.begin(), methods_.end(), same);
      known != methods_.end()) {
    known->second = std::move(method);
  } else {
    methods_.emplace_back(std::move(name), std::move(method));
  }
  return *this;
}

std::vector<std::string> Service::methods() const {
  std::vector<std::string> names;
  for (const auto& [name, method] : methods_) names.push_back(name);
  return names;
}

Result<Bytes> Service::answer(std::span<const std::byte> request_frame,
                              std::size_t frame_bytes_max) const {
  const auto request = ipc::read_request(request_frame);
  if (!request) return request.error();
  const auto failure = [&](Errc code, const std::string& text) {
    return ipc::make_error_answer(request->call, code, text, frame_bytes_max);
  };

  const auto wanted = [&](const auto& known) { return known.first == request->method; };
  const auto method = std::find_if(methods_.begin(), methods_.end(), wanted);
  if (method == methods_.end()) {
    std::string known;
    for (const auto& [name, unused] : methods_) known += (known.empty() ? "" : ", ") + name;
    return failure(Errc::method_not_found, "the service has: " + known);
  }

  const auto reply = carry_out(method->second, *request);
  if (!reply) {
    if (reply.error().is(Errc::remote_error) || reply.error().is(Errc::invalid_argument)) {
      return failure(static_cast<Errc>(reply.error().code.value()), reply.error().context);
    }
    return failure(Errc::remote_error, reply.error().to_string());
  }
  Bytes frame = ipc::make_result(request->call, *reply);
  if (frame.size() > frame_bytes_max) {
    return failure(Errc::message_too_big, "the answer needs " + std::to_string(frame.size()) +
                                              " bytes; max_message is " +
                                              std::to_string(frame_bytes_max));
  }
  return frame;
}

Result<void> serve(Channel& channel, const Service& service, Deadline deadline) {
  for (;;) {
    auto message = channel.receive(deadline);
    if (!message) return message.error();
    if (auto sent = answer_message(channel, service, std::move(*message), deadline); !sent) {
      return sent;
    }
  }
}

Result<bool> serve_one(Channel& channel, const Service& service, Deadline answer_by) {
  auto message = channel.try_receive();
  if (!message) return message.error();
  if (!message->has_value()) return false;
  auto sent = answer_message(channel, service, std::move(**message), answer_by);
  if (!sent) return sent.error();
  return true;
}

}  // namespace bulkhead
