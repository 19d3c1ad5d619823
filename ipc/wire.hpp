// One connection to the peer: its descriptors, and how bytes or packets go through them without ever
// blocking or raising a signal. Used by the frame reader and writer. Knows nothing of frames; the only
// place where unix, tcp and pipe differ.
#pragma once

#include <sys/uio.h>
#include <bulkhead/channel.hpp>
#include <bulkhead/error.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::ipc {

// bytes == 0 with no error is the end of the connection.
struct IoStatus {
  std::size_t bytes = 0;
  int error = 0;
  bool truncated = false;  // a packet was longer than the room for it

  bool blocked() const noexcept;
};

// Threads: one reads and one writes at a time; they may be different threads.
class Wire {
 public:
  virtual ~Wire() = default;

  virtual bool keeps_packets() const noexcept = 0;
  virtual IoStatus read(std::span<iovec> parts) noexcept = 0;
  virtual IoStatus write(std::span<iovec> parts) noexcept = 0;
  virtual int read_fd() const noexcept = 0;
  virtual int write_fd() const noexcept = 0;

  // Whether the other end is gone, without reading.
  virtual bool hung_up() const noexcept = 0;
  // Makes room in a full buffer for the frame that says goodbye; best effort.
  virtual void make_room(std::size_t bytes) noexcept = 0;
  // How long bytes of a dead peer may still be under way although nothing can be read.
  virtual std::chrono::milliseconds settle_time() const noexcept = 0;
};

// How many of the descriptors of LinkUpdate::sockets are the connection itself; the one after them, where there
// is one, is a doorbell.
constexpr std::size_t descriptors_of(Transport transport) noexcept {
  return transport == Transport::pipe ? 2 : 1;
}

// Take over these descriptors. Errors: invalid_argument, errno.
[[nodiscard]] Result<std::unique_ptr<Wire>> open_wire(Transport, std::vector<base::UniqueFd>,
                                                      const ChannelOptions&);
[[nodiscard]] Result<std::unique_ptr<Wire>> open_unix_wire(base::UniqueFd, const ChannelOptions&);
[[nodiscard]] Result<std::unique_ptr<Wire>> open_tcp_wire(base::UniqueFd, const ChannelOptions&);
[[nodiscard]] Result<std::unique_ptr<Wire>> open_pipe_wire(base::UniqueFd read_end,
                                                           base::UniqueFd write_end,
                                                           const ChannelOptions&);

}  // namespace bulkhead::ipc
