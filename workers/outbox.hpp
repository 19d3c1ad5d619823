// Packets on their way to the brain: sent at once where the socket takes them, kept in order where it
// does not, because a brain that is being replaced does not read. Used by ControlLink under its lock.
#pragma once

#include <bulkhead/error.hpp>
#include <deque>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::workers {

class Outbox {
 public:
  // `fds` are borrowed. Errors: those of send_packet, but would_block, which queues the packet.
  Result<void> send(int socket, nlohmann::json message, std::span<const int> fds = {});
  // The same for a message of which only the latest counts: it takes the place of a waiting one.
  Result<void> send_latest(int socket, nlohmann::json message);
  // Sends what waits, as far as the socket takes it.
  Result<void> flush(int socket);

  bool empty() const noexcept { return waiting_.empty(); }

 private:
  struct Waiting {
    nlohmann::json message;
    std::vector<base::UniqueFd> fds;
    bool replaceable = false;
  };
  Result<void> send_or_queue(int socket, nlohmann::json message, std::span<const int> fds,
                             bool replaceable);
  std::deque<Waiting> waiting_;
};

}  // namespace bulkhead::workers
