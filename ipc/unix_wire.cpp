// unix: SOCK_SEQPACKET, so that a writer killed inside sendmsg leaves a whole packet or none.
#include <sys/socket.h>

#include <algorithm>

#include "ipc/framing.hpp"
#include "ipc/socket_wire.hpp"

namespace bulkhead::ipc {
namespace {

// Half of the default net.core.wmem_max would do; the rest is what make_room() can add at the end.
constexpr std::size_t send_buffer_min = 2 * (packet_payload_max + frame_header_bytes);

}  // namespace

Result<std::unique_ptr<Wire>> open_unix_wire(base::UniqueFd fd, const ChannelOptions& options) {
  if (auto fits = check_socket(fd.get(), AF_UNIX, SOCK_SEQPACKET); !fits) return fits.error();
  size_send_buffer(fd.get(), std::max(options.capacity, send_buffer_min));
  // A dead peer's packets lie in our own queue already: nothing can be under way.
  const SocketWire::Traits traits{true, std::chrono::milliseconds(0)};
  return std::unique_ptr<Wire>(std::make_unique<SocketWire>(std::move(fd), traits));
}

}  // namespace bulkhead::ipc
