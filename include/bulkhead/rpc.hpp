// Unary RPC over any channel: methods are types, bodies are raw bytes or MessagePack.
//
//   struct Add { static constexpr std::string_view name = "add";
//                using Request = AddRequest; using Response = int; };
//   service.on<Add>([](const AddRequest& r) -> Result<int> { return r.a + r.b; });
//   auto sum = client.call<Add>({1, 2}, Deadline::in(1s));
//
// Trivially copyable types travel as their bytes when they say so (bulkhead::raw_body<T> = true);
// everything else that nlohmann::json can convert travels as MessagePack.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace bulkhead {

using Bytes = std::vector<std::byte>;

// Specialise as true for a type that both ends compile alike and that holds no pointer.
template <class T>
inline constexpr bool raw_body = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

namespace rpc {

enum class BodyKind : std::uint8_t { msgpack = 0, raw = 1 };

Result<Bytes> pack_json(const nlohmann::json&);
Result<nlohmann::json> unpack_json(std::span<const std::byte>);  // depth and size are bounded

template <class T>
constexpr BodyKind body_kind() noexcept {
  return raw_body<T> ? BodyKind::raw : BodyKind::msgpack;
}
template <class T>
Result<Bytes> encode(const T& value);
template <class T>
Result<T> decode(BodyKind, std::span<const std::byte>);

struct Reply {
  BodyKind kind = BodyKind::msgpack;
  Bytes body;
};
using RawMethod = std::function<Result<Reply>(BodyKind, std::span<const std::byte> request)>;

}  // namespace rpc

// A named set of methods.
// Threads: filled before it is served; served by one thread. A method that throws is answered
//   with remote_error and its what(); a method that returns an Error likewise.
class Service {
 public:
  template <class Method, class Function>
  Service& on(Function function);
  Service& on_raw(std::string name, rpc::RawMethod method);

  // Takes one request from the channel's bytes and returns the answer's frame.
  Result<Bytes> answer(std::span<const std::byte> request_frame) const;
  std::vector<std::string> methods() const;

 private:
  std::vector<std::pair<std::string, rpc::RawMethod>> methods_;
};

// Serves one channel until its deadline, or its end. Errors: those of Channel::receive.
Result<void> serve(Channel&, const Service&, Deadline);
// Takes and answers at most one request that is there already; false when there is none.
Result<bool> serve_one(Channel&, const Service&);

// Where a client's calls go. The runtime's connector finds the service through the supervisor and
// finds it again after a death; ChannelConnector wraps one fixed channel.
class Connector {
 public:
  virtual ~Connector() = default;
  virtual Result<Channel*> connect(Deadline) = 0;  // the live channel, made when there is none
  virtual void drop() noexcept = 0;                // the channel failed: the next call connects anew
};
std::unique_ptr<Connector> make_channel_connector(Channel);

// Calls methods of one service.
// Threads: one call at a time. Blocking: up to the deadline, which also covers finding the service.
// Errors: peer_died at once when the server dies with the call in flight; timed_out (the late
//   answer is recognised by its call id and dropped, never given to another call); remote_error;
//   method_not_found; those of the channel. A call that failed may have been executed.
class Client {
 public:
  explicit Client(std::unique_ptr<Connector>);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  template <class Method>
  Result<typename Method::Response> call(const typename Method::Request& request,
                                         Deadline = Deadline::never());
  Result<rpc::Reply> call_raw(std::string_view method, rpc::BodyKind, std::span<const std::byte> body,
                              Deadline);
  Result<nlohmann::json> call_json(std::string_view method, const nlohmann::json& request, Deadline);

 private:
  std::unique_ptr<Connector> connector_;
  std::uint64_t next_call_ = 0;
};

}  // namespace bulkhead

#include <bulkhead/detail/rpc_templates.hpp>
