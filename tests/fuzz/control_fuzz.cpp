// The control protocol: the input is one packet on a control socket, header and all.
#include <sys/socket.h>

#include "ipc/control_packet.hpp"
#include "ipc/control_protocol.hpp"
#include "ipc/json_rpc.hpp"
#include "ipc/queue_protocol.hpp"
#include "ipc/sealed_protocol.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace bulkhead::test {
namespace {

void decode_all(const ipc::Json& params) {
  (void)ipc::decode<ipc::HelloWorker>(params);
  (void)ipc::decode<ipc::HelloAnswer>(params);
  (void)ipc::decode<ipc::HelloClient>(params);
  (void)ipc::decode<ipc::HelloClientAnswer>(params);
  (void)ipc::decode<ipc::Ready>(params);
  (void)ipc::decode<ipc::LinkOpen>(params);
  (void)ipc::decode<ipc::LinkPeer>(params);
  (void)ipc::decode<ipc::LinkOffer>(params);
  (void)ipc::decode<ipc::LinkKept>(params);
  (void)ipc::decode<ipc::LinkClosed>(params);
  (void)ipc::decode<ipc::TaskQuarantined>(params);
  (void)ipc::decode<ipc::SealedKeep>(params);
  (void)ipc::decode<ipc::SealedName>(params);
  (void)ipc::decode<ipc::SealedList>(params);
  (void)ipc::decode<ipc::ServiceConnect>(params);
  (void)ipc::decode<ipc::ServiceConnectAnswer>(params);
  (void)ipc::decode<ipc::Stop>(params);
  (void)ipc::decode<ipc::ResyncAnswer>(params);
}

}  // namespace
}  // namespace bulkhead::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace ipc = bulkhead::ipc;
  const auto pair = bulkhead::base::make_socketpair(SOCK_SEQPACKET);
  BULKHEAD_ASSERT(pair.has_value());
  if (::send(pair->first.get(), data, size, MSG_DONTWAIT) < 0)
    return 0;  // larger than the socket takes
  const auto packet = ipc::receive_packet(pair->second.get());
  if (!packet || !packet->has_value()) return 0;
  const auto message = ipc::read_message((*packet)->body);
  if (!message) return 0;
  BULKHEAD_ASSERT(message->content != nullptr);
  bulkhead::test::decode_all(*message->content);
  return 0;
}
