// The bytes of one RPC message, in both directions. Used by Service and Client; must not know methods,
// bodies or channels.
#pragma once

#include <bulkhead/error.hpp>
#include <bulkhead/rpc.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace bulkhead::ipc {

// clang-format off
//   0         1      2      3      4          6       8
//   | version | what | body | zero | name     | code  | call id | name, body | or | text of an error |
//
// Native byte order: both ends run on one kind of machine (the layout hash says so at hello), and a
// peer on another kind fails at the version.
// clang-format on
struct RpcHeader {
  static constexpr std::uint8_t version_value = 1;
  enum What : std::uint8_t { request = 1, result = 2, error = 3 };

  std::uint8_t version;
  std::uint8_t what;
  std::uint8_t body_kind;  // rpc::BodyKind; 0 in an error
  std::uint8_t zero;
  std::uint16_t name_bytes;  // of the method's name, in a request; else 0
  std::uint16_t code;        // Errc, in an error; else 0
  std::uint64_t call;
};
static_assert(sizeof(RpcHeader) == 16 && offsetof(RpcHeader, call) == 8 &&
              std::is_trivially_copyable_v<RpcHeader>);

inline constexpr std::size_t method_name_bytes_max = 256;

struct RpcRequest {
  std::uint64_t call = 0;
  std::string_view method;
  rpc::BodyKind kind = rpc::BodyKind::msgpack;
  std::span<const std::byte> body;
};
struct RpcAnswer {
  std::uint64_t call = 0;
  bool failed = false;
  rpc::BodyKind kind = rpc::BodyKind::msgpack;
  std::span<const std::byte> body;  // of a result
  Errc code = Errc::remote_error;   // of an error; one of those that a service may answer with
  std::string_view text;
};

// Both reference the frame, which must not change meanwhile: copy it out of shared memory first.
// Errors: protocol_violation.
[[nodiscard]] Result<RpcRequest> read_request(std::span<const std::byte> frame);
[[nodiscard]] Result<RpcAnswer> read_answer(std::span<const std::byte> frame);

// Errors: invalid_argument for a name that is empty or too long.
[[nodiscard]] Result<Bytes> make_request(const RpcRequest&);
[[nodiscard]] Bytes make_result(std::uint64_t call, const rpc::Reply&);
// The text is cut where the frame would exceed `frame_bytes_max`.
[[nodiscard]] Bytes make_error_answer(std::uint64_t call, Errc, std::string_view text,
                                      std::size_t frame_bytes_max);

}  // namespace bulkhead::ipc
