// The RPC frames and their MessagePack bodies: the input is what a client, or a server, sent.
#include <nlohmann/json.hpp>

#include "ipc/rpc_frame.hpp"
#include "tests/fuzz/fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace ipc = bulkhead::ipc;
  const auto frame = bulkhead::test::input_bytes(data, size);
  const auto inside = [&](std::span<const std::byte> part) {
    return part.empty() || (part.data() >= frame.data() &&
                            part.data() + part.size() <= frame.data() + frame.size());
  };
  if (const auto request = ipc::read_request(frame)) {
    BULKHEAD_ASSERT(inside(request->body));
    BULKHEAD_ASSERT(inside(std::as_bytes(std::span(request->method))));
    // What was understood is said again in the same words.
    const auto again = ipc::make_request(*request);
    BULKHEAD_ASSERT(again && ipc::read_request(*again)->method == request->method);
    if (const auto body = bulkhead::rpc::unpack_json(request->body)) {
      BULKHEAD_ASSERT(bulkhead::rpc::pack_json(*body).has_value());
    }
  }
  if (const auto answer = ipc::read_answer(frame)) {
    BULKHEAD_ASSERT(inside(answer->body) && inside(std::as_bytes(std::span(answer->text))));
  }
  return 0;
}
