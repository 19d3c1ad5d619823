// The one place that knows which transport is which endpoint.
#include "ipc/endpoint.hpp"
#include "ipc/shm_endpoint.hpp"
#include "ipc/socket_endpoint.hpp"
#include "ipc/topic_end.hpp"

namespace bulkhead::ipc {

Result<std::shared_ptr<Endpoint>> open_endpoint(Transport transport, EndSpec spec) {
  if (spec.topic) return open_topic_end(transport, std::move(spec));
  if (transport == Transport::shm) return open_shm_endpoint(std::move(spec));
  return open_socket_endpoint(transport, std::move(spec));
}

}  // namespace bulkhead::ipc
