// Which wire belongs to which transport.
#include "ipc/wire.hpp"

#include <string>
#include <utility>

namespace bulkhead::ipc {

Result<std::unique_ptr<Wire>> open_wire(Transport transport, std::vector<base::UniqueFd> fds,
                                        const ChannelOptions& options) {
  if (fds.size() != descriptors_of(transport)) {
    return make_error(Errc::invalid_argument, "a connection over " +
                                                  std::string(to_string(transport)) + " of " +
                                                  std::to_string(fds.size()) + " descriptors");
  }
  switch (transport) {
    case Transport::unix_socket: return open_unix_wire(std::move(fds[0]), options);
    case Transport::tcp: return open_tcp_wire(std::move(fds[0]), options);
    case Transport::pipe: return open_pipe_wire(std::move(fds[0]), std::move(fds[1]), options);
    case Transport::shm: break;
  }
  return make_error(Errc::invalid_argument, "shared memory has no wire");
}

}  // namespace bulkhead::ipc
