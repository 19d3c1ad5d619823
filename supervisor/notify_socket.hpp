// The socket that one incarnation of a worker speaks sd_notify(3) to: a datagram socket with an abstract address of its
// own (docs/design/notify.md says why). Used by NotifyDesk; does not know what the messages mean.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::supervisor {

struct NotifyDatagram {
  std::string text;
  std::int32_t pid = 0;  // of the sender as the kernel told it; 0: of another pid namespace
  std::uint32_t uid = 0;
  base::UniqueFd pidfd;  // of the sender, where the kernel (Linux 6.5) gives one
  std::vector<base::UniqueFd> fds;
  bool is_cut = false;    // longer than notify_bytes_max
  bool lost_fds = false;  // some descriptors could not be taken: our own limit is reached
};

// Bound, and taking credentials: from here on messages wait in it. `address` is as in NOTIFY_SOCKET, "@…".
Result<base::UniqueFd> open_notify_socket(const std::string& address);
// The address that the socket is bound to, for who finds it in the keeper's store.
std::string notify_address(int socket);

// The message that waits, which goes on waiting: what kills us before drop_datagram() leaves it to our successor.
// nullopt: none waits.
std::optional<NotifyDatagram> peek_datagram(int socket);
void drop_datagram(int socket);

// Whether the sender of this message has been reaped, so that its number may be another process's by now. A look at
// /proc/PID counts only when this is false after it. Without a pidfd: whether nobody has the number.
bool is_gone(const NotifyDatagram&);

}  // namespace bulkhead::supervisor
