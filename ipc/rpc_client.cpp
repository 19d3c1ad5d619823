// The calling side of RPC. One call is in flight at a time, but answers to earlier calls may still
// come: they are told apart by their ids.
#include <bulkhead/rpc.hpp>

#include <sys/random.h>

#include <optional>

#include "ipc/endpoint.hpp"
#include "ipc/rpc_frame.hpp"

namespace bulkhead {
namespace {

std::uint64_t random_start() noexcept {
  std::uint64_t value = 0;
  const bool filled = ::getrandom(&value, sizeof value, 0) == ssize_t{sizeof value};
  BULKHEAD_ASSERT(filled);  // up to 256 bytes it neither fails nor is interrupted (getrandom(2))
  return value;
}

class ChannelConnector final : public Connector {
 public:
  explicit ChannelConnector(Channel channel) : channel_(std::move(channel)) {}
  Result<Channel*> connect(Deadline) override {
    if (!channel_) return make_error(Errc::closed, "the channel of this client failed before");
    return &*channel_;
  }
  void drop() noexcept override { channel_.reset(); }

 private:
  std::optional<Channel> channel_;
};

// Errors after which the channel is as good as before.
bool leaves_channel_usable(const Error& error) noexcept {
  for (const auto errc : {Errc::timed_out, Errc::stopped, Errc::would_block, Errc::message_too_big,
                          Errc::invalid_argument, Errc::cancelled}) {
    if (error.is(errc)) return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<Connector> make_channel_connector(Channel channel) {
  return std::make_unique<ChannelConnector>(std::move(channel));
}

Client::Client(std::unique_ptr<Connector> connector)
    : connector_(std::move(connector)), first_call_(random_start()), next_call_(first_call_) {
  BULKHEAD_ASSERT(connector_ != nullptr);
}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Error Client::failed(std::string_view method, const Error& error) noexcept {
  if (!leaves_channel_usable(error)) connector_->drop();
  Error named = error;
  if (error.is(Errc::would_block)) named.code = make_error_code(Errc::timed_out);
  named.context = "call of " + std::string(method) +
                  (error.context.empty() ? std::string() : ": " + error.context);
  return named;
}

Result<rpc::Reply> Client::call_raw(std::string_view method, rpc::BodyKind kind,
                                    std::span<const std::byte> body, Deadline deadline) {
  const std::uint64_t call = next_call_++;
  ++stats_.calls;
  const auto frame = ipc::make_request({call, method, kind, body});
  if (!frame) return frame.error();
  const auto connected = connector_->connect(deadline);
  if (!connected) return failed(method, connected.error());
  Channel& channel = **connected;
  if (const auto most = channel.endpoint().spec().options.max_message; frame->size() > most) {
    return failed(method, make_error(Errc::message_too_big,
                                     "the request needs " + std::to_string(frame->size()) +
                                         " bytes; max_message is " + std::to_string(most)));
  }
  if (const auto sent = channel.send(*frame, deadline); !sent) return failed(method, sent.error());
  return await_answer(channel, method, call, deadline);
}

Result<rpc::Reply> Client::await_answer(Channel& channel, std::string_view method,
                                        std::uint64_t call, Deadline deadline) {
  for (;;) {
    auto message = channel.receive(deadline);
    if (!message) return failed(method, message.error());
    const Bytes frame = message->copy();  // the server can still write to what the message shows
    message->acknowledge();
    const auto answer = ipc::read_answer(frame);
    if (!answer) return failed(method, answer.error());
    if (answer->call == call) {
      if (!answer->failed) {
        return rpc::Reply{answer->kind, Bytes(answer->body.begin(), answer->body.end())};
      }
      return make_error(answer->code,
                        "call of " + std::string(method) + ": " + std::string(answer->text));
    }
    // Wraps around correctly: how many calls ago it was made.
    const bool ours = answer->call - first_call_ < call - first_call_;
    ++(ours ? stats_.late_answers : stats_.unknown_answers);
    if (deadline.expired()) return failed(method, make_error(Errc::timed_out, ""));
  }
}

Result<nlohmann::json> Client::call_json(std::string_view method, const nlohmann::json& request,
                                         Deadline deadline) {
  const auto body = rpc::pack_json(request);
  if (!body) return body.error();
  const auto reply = call_raw(method, rpc::BodyKind::msgpack, *body, deadline);
  if (!reply) return reply.error();
  if (reply->kind == rpc::BodyKind::raw) {
    return make_error(Errc::unsupported, "call of " + std::string(method) + ": it answers with " +
                                             std::to_string(reply->body.size()) +
                                             " raw bytes, which are no JSON");
  }
  auto json = rpc::unpack_json(reply->body);
  if (!json) return failed(method, json.error());
  try {
    (void)json->dump();  // a string of MessagePack need not be UTF-8, one of JSON must
  } catch (const nlohmann::json::exception&) {
    return make_error(Errc::unsupported, "call of " + std::string(method) +
                                             ": its answer has a string that is not UTF-8, which "
                                             "JSON cannot hold");
  }
  return json;
}

}  // namespace bulkhead
