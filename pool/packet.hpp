// A few bytes with a few descriptors in one SOCK_SEQPACKET packet. Used between a pool, its zygote and its workers;
// knows nothing of what they say.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::pool {

inline constexpr std::size_t packet_fds_max = 8;

// While the peer's queue is full: blocks, or would_block where `wait` is false. `fds` are borrowed. Errors: closed when the
// peer is gone; the system's.
Result<void> send_packet(int socket, std::span<const std::byte> bytes,
                         std::span<const int> fds = {}, bool wait = true);

struct Packet {
  std::size_t bytes = 0;
  std::vector<base::UniqueFd> fds;
};
// Into `buffer`. nullopt: nothing is there, and `wait` is false. Errors: closed; protocol_violation for a
// longer packet; the system's.
Result<std::optional<Packet>> receive_packet(int socket, std::span<std::byte> buffer, bool wait);

template <class T>
std::span<const std::byte> bytes_of_value(const T& value) noexcept {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace bulkhead::pool
