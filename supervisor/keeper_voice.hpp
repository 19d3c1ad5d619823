// What the system says to the service manager that started it, by sd_notify(3): the keeper says it for the brain, since
// the pid of `bulkhead run` is the main process that systemd listens to (NotifyAccess=main). Used by the keeper; does not
// know what is said.
#pragma once

#include <sys/un.h>

#include <array>
#include <cstddef>
#include <string_view>

#include "base/fd.hpp"

namespace bulkhead::supervisor {

// Threads: one. Never blocks and allocates nothing.
class KeeperVoice {
 public:
  // Takes NOTIFY_SOCKET, and the watchdog's variables, out of our environment, so that no child finds them and speaks
  // for us. Errors: for an address of a kind that we cannot reach.
  Result<void> prepare();
  bool is_heard() const noexcept { return socket_.is_open(); }

  // The latest text is the one that counts: what the manager's full queue did not take goes again with retry().
  void say(std::string_view text) noexcept;
  void retry() noexcept;

 private:
  base::UniqueFd socket_;
  sockaddr_un address_{};
  socklen_t address_bytes_ = 0;
  std::array<char, 256> unsaid_{};
  std::size_t unsaid_bytes_ = 0;
};

}  // namespace bulkhead::supervisor
