#include "ipc/rpc_frame.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace bulkhead::ipc {
namespace {

Error bad_rpc_frame(const char* what) {
  return make_error(Errc::protocol_violation, std::string("rpc frame: ") + what);
}

Result<RpcHeader> read_header(std::span<const std::byte> frame) {
  if (frame.size() < sizeof(RpcHeader)) return bad_rpc_frame("shorter than its header");
  RpcHeader header;
  std::memcpy(&header, frame.data(), sizeof header);
  if (header.version != RpcHeader::version_value) return bad_rpc_frame("of another version");
  if (header.zero != 0) return bad_rpc_frame("a field that must be 0 is not");
  if (header.body_kind > static_cast<std::uint8_t>(rpc::BodyKind::raw)) {
    return bad_rpc_frame("an unknown kind of body");
  }
  return header;
}

std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> as_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

Bytes join(const RpcHeader& header, std::span<const std::byte> first,
           std::span<const std::byte> second) {
  Bytes frame(sizeof header + first.size() + second.size());
  std::memcpy(frame.data(), &header, sizeof header);
  const auto rest = std::copy(first.begin(), first.end(), frame.begin() + sizeof header);
  std::copy(second.begin(), second.end(), rest);
  return frame;
}

// What a service may say by itself; anything else would pass for an error of the client's own side.
Errc answerable(std::uint16_t code) noexcept {
  for (const auto errc : {Errc::method_not_found, Errc::invalid_argument, Errc::message_too_big}) {
    if (code == static_cast<std::uint16_t>(errc)) return errc;
  }
  return Errc::remote_error;
}

}  // namespace

Result<RpcRequest> read_request(std::span<const std::byte> frame) {
  const auto header = read_header(frame);
  if (!header) return header.error();
  if (header->what != RpcHeader::request || header->code != 0)
    return bad_rpc_frame("not a request");
  const auto rest = frame.subspan(sizeof(RpcHeader));
  const std::size_t name_bytes = header->name_bytes;
  if (name_bytes == 0 || name_bytes > method_name_bytes_max || name_bytes > rest.size()) {
    return bad_rpc_frame("a method's name of a wrong length");
  }
  return RpcRequest{header->call, as_text(rest.first(name_bytes)),
                    static_cast<rpc::BodyKind>(header->body_kind), rest.subspan(name_bytes)};
}

Result<RpcAnswer> read_answer(std::span<const std::byte> frame) {
  const auto header = read_header(frame);
  if (!header) return header.error();
  if (header->name_bytes != 0) return bad_rpc_frame("not an answer");
  const auto rest = frame.subspan(sizeof(RpcHeader));
  RpcAnswer answer;
  answer.call = header->call;
  switch (header->what) {
    case RpcHeader::result:
      if (header->code != 0) return bad_rpc_frame("a result with an error's code");
      answer.kind = static_cast<rpc::BodyKind>(header->body_kind);
      answer.body = rest;
      return answer;
    case RpcHeader::error:
      answer.failed = true;
      answer.code = answerable(header->code);
      answer.text = as_text(rest);
      return answer;
    default: return bad_rpc_frame("not an answer");
  }
}

Result<Bytes> make_request(const RpcRequest& request) {
  if (request.method.empty() || request.method.size() > method_name_bytes_max) {
    return make_error(Errc::invalid_argument,
                      "a method's name has 1 to " + std::to_string(method_name_bytes_max) +
                          " bytes, this one " + std::to_string(request.method.size()));
  }
  const RpcHeader header{RpcHeader::version_value,
                         RpcHeader::request,
                         static_cast<std::uint8_t>(request.kind),
                         0,
                         static_cast<std::uint16_t>(request.method.size()),
                         0,
                         request.call};
  return join(header, as_bytes(request.method), request.body);
}

Bytes make_result(std::uint64_t call, const rpc::Reply& reply) {
  const RpcHeader header{RpcHeader::version_value,
                         RpcHeader::result,
                         static_cast<std::uint8_t>(reply.kind),
                         0,
                         0,
                         0,
                         call};
  return join(header, reply.body, {});
}

Bytes make_error_answer(std::uint64_t call, Errc code, std::string_view text,
                        std::size_t frame_bytes_max) {
  const RpcHeader header{
      RpcHeader::version_value, RpcHeader::error, 0, 0, 0, static_cast<std::uint16_t>(code), call};
  const std::size_t room = frame_bytes_max - std::min(frame_bytes_max, sizeof header);
  return join(header, as_bytes(text.substr(0, room)), {});
}

}  // namespace bulkhead::ipc
