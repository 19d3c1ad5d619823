// One JSON message with up to four descriptors in one SOCK_SEQPACKET packet: the bytes under the
// control protocol (docs/design/control-protocol.md). Used by the brain, the runtime inside workers
// and the command line. Must not know what the messages mean.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::ipc {

inline constexpr std::size_t packet_fds_max = 4;
inline constexpr std::size_t packet_inline_bytes_max = std::size_t{64} << 10;  // beyond: a memfd
inline constexpr std::size_t packet_body_bytes_max = std::size_t{16} << 20;

struct Packet {
  nlohmann::json body;
  std::vector<base::UniqueFd>
      fds;  // those that `body` speaks of; the memfd of a large body is not here
};

// Never blocks. `fds` are borrowed: the receiver gets duplicates.
// Errors: would_block when the peer's queue is full; closed when the peer is gone; invalid_argument
//   for too many descriptors; message_too_big; what the system says. Nothing was sent then.
[[nodiscard]] Result<void> send_packet(int socket, const nlohmann::json& body,
                                       std::span<const int> fds = {});

// Never blocks. nullopt when nothing is there.
// Errors: closed at the end of the connection; protocol_violation for a packet that breaks the
//   rules, whose descriptors are closed then: the caller must end the connection; version_mismatch
//   for another major version.
[[nodiscard]] Result<std::optional<Packet>> receive_packet(
    int socket, std::size_t body_bytes_max = packet_body_bytes_max);

// The same, waiting up to the deadline. Errors: also timed_out, stopped.
[[nodiscard]] Result<void> send_packet(int socket, const nlohmann::json& body,
                                       std::span<const int> fds, Deadline);
[[nodiscard]] Result<Packet> receive_packet(int socket, Deadline);

}  // namespace bulkhead::ipc
