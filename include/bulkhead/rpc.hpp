// Unary RPC over any channel: methods are types, bodies are raw bytes or MessagePack.
//
//   struct Add { static constexpr std::string_view name = "add";
//                using Request = AddRequest; using Response = int; };
//   service.on<Add>([](const AddRequest& r) -> Result<int> { return r.a + r.b; });
//   auto sum = client.call<Add>({1, 2}, Deadline::in(1s));
//
// How a type travels:
//   - what nlohmann::json can convert, as MessagePack, which any language and `bulkhead call` can read;
//   - numbers, and trivially copyable types that say so (bulkhead::raw_body<T> = true), as their bytes;
//   - Bytes, and as a request std::span<const std::byte>, as they are.
// A number is taken in either form, and an answer has the form of its request where it can.
// The frames are drawn in ipc/rpc_frame.hpp; docs/design/rpc.md has the protocol.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
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

// Specialise as true for a type that both ends compile alike, that holds no pointer, and for which
// any bytes are a value (no bool, no enum inside, unless it is checked): the peer chooses the bytes.
template <class T>
inline constexpr bool raw_body = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

namespace rpc {

enum class BodyKind : std::uint8_t { msgpack = 0, raw = 1 };

// A body with what it is.
struct Reply {
  BodyKind kind = BodyKind::msgpack;
  Bytes body;
};

// Errors: invalid_argument for what MessagePack cannot hold, or nested deeper than 64.
Result<Bytes> pack_json(const nlohmann::json&);
// Errors: protocol_violation for bytes that are not one MessagePack value, or nested deeper than 64.
Result<nlohmann::json> unpack_json(std::span<const std::byte>);

template <class T>
constexpr BodyKind body_kind() noexcept;  // how a T travels when nobody wants it otherwise
// Errors: invalid_argument when T's to_json fails.
template <class T>
Result<Reply> encode(const T& value, BodyKind wanted = body_kind<T>());
// Errors: protocol_violation, saying what came and what was expected.
template <class T>
Result<T> decode(BodyKind, std::span<const std::byte>);

// Its Error is told to the caller as remote_error, or as what it is when it is invalid_argument.
using RawMethod = std::function<Result<Reply>(BodyKind, std::span<const std::byte> request)>;

}  // namespace rpc

// A named set of methods.
// Threads: filled before it is served; served by one thread.
// Errors: a method that throws is answered with remote_error and its what(); a method that returns
//   an Error likewise. A request that a method cannot read is answered with invalid_argument.
class Service {
 public:
  // `function` takes const Method::Request& and returns Method::Response or Result of it. A second
  // method of a name replaces the first.
  template <class Method, class Function>
  Service& on(Function function);
  Service& on_raw(std::string name, rpc::RawMethod method);

  // Carries out one request and returns the answer's frame, which never exceeds `frame_bytes_max`:
  // a larger answer becomes message_too_big. Never throws.
  // Errors: protocol_violation when the bytes are not a request; there is nobody to answer then.
  Result<Bytes> answer(std::span<const std::byte> request_frame,
                       std::size_t frame_bytes_max = std::numeric_limits<std::size_t>::max()) const;
  std::vector<std::string> methods() const;

 private:
  std::vector<std::pair<std::string, rpc::RawMethod>> methods_;
};

// Serves one channel until its deadline, or its end.
// Errors: those of Channel; protocol_violation when the client does not speak RPC.
// After a crash of the server inside a method: over a link whose ends are replaced the request comes
//   again to the successor; a session dies, and the client gets peer_died.
Result<void> serve(Channel&, const Service&, Deadline);
// Takes and answers at most one request that is there already; false when there is none.
// Blocking: as long as the method, and until `answer_by` when the client does not take its answers.
// Errors: as serve(). After one, this client deserves no further service.
Result<bool> serve_one(Channel&, const Service&,
                       Deadline answer_by = Deadline::in(std::chrono::seconds(1)));

// Where a client's calls go. The runtime's connector finds the service through the supervisor and
// finds it again after a death; ChannelConnector wraps one fixed channel.
class Connector {
 public:
  virtual ~Connector() = default;
  virtual Result<Channel*> connect(Deadline) = 0;  // the live channel, made when there is none
  virtual void drop() noexcept = 0;  // the channel failed: the next call connects anew
};
// After drop() every connect() fails with Errc::closed.
std::unique_ptr<Connector> make_channel_connector(Channel);

struct ClientStats {
  std::uint64_t calls = 0;
  std::uint64_t late_answers = 0;     // to calls of this client that had timed out
  std::uint64_t unknown_answers = 0;  // to calls that this client never made: a predecessor's
};

// Calls methods of one service.
// Threads: one call at a time. Blocking: up to the deadline, which also covers finding the service.
// Errors: peer_died at once when the server dies with the call in flight; timed_out (the late
//   answer is recognised by its call id and dropped, never given to another call); remote_error;
//   method_not_found; message_too_big; invalid_argument when the service cannot read the request;
//   those of the channel. A call that failed may have been executed.
class Client {
 public:
  explicit Client(std::unique_ptr<Connector>);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  template <class Method>
  Result<typename Method::Response> call(const typename Method::Request& request,
                                         Deadline = Deadline::never());
  Result<rpc::Reply> call_raw(std::string_view method, rpc::BodyKind,
                              std::span<const std::byte> body, Deadline);
  // For programs that do not know the types. Errors: also unsupported for an answer that JSON cannot
  // hold (raw bytes, strings that are not UTF-8); what it returns can be dumped.
  Result<nlohmann::json> call_json(std::string_view method, const nlohmann::json& request,
                                   Deadline);

  ClientStats stats() const noexcept { return stats_; }

 private:
  Result<rpc::Reply> await_answer(Channel&, std::string_view method, std::uint64_t call, Deadline);
  Error failed(std::string_view method, const Error&) noexcept;

  std::unique_ptr<Connector> connector_;
  // Starts at random, so that an answer to a predecessor on the same link is never taken for ours.
  std::uint64_t first_call_;
  std::uint64_t next_call_;
  ClientStats stats_;
};

}  // namespace bulkhead

#include <bulkhead/detail/rpc_templates.hpp>
