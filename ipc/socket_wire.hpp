// What unix and tcp connections have in common: one descriptor, sendmsg and recvmsg.
#pragma once

#include "ipc/wire.hpp"

namespace bulkhead::ipc {

class SocketWire final : public Wire {
 public:
  struct Traits {
    bool packets;
    std::chrono::milliseconds settle;
  };
  SocketWire(base::UniqueFd fd, Traits traits) noexcept : fd_(std::move(fd)), traits_(traits) {}

  bool keeps_packets() const noexcept override { return traits_.packets; }
  IoStatus read(std::span<iovec> parts) noexcept override;
  IoStatus write(std::span<iovec> parts) noexcept override;
  int read_fd() const noexcept override { return fd_.get(); }
  int write_fd() const noexcept override { return fd_.get(); }
  bool hung_up() const noexcept override;
  void make_room(std::size_t bytes) noexcept override;
  std::chrono::milliseconds settle_time() const noexcept override { return traits_.settle; }

 private:
  base::UniqueFd fd_;
  Traits traits_;
};

// SO_SNDBUF (and for a stream SO_RCVBUF) from the channel's capacity, as far as the system's limits
// go. Errors: invalid_argument when the descriptor is no socket of that family and type.
[[nodiscard]] Result<void> check_socket(int fd, int family, int type);
void size_send_buffer(int fd, std::size_t bytes) noexcept;

}  // namespace bulkhead::ipc
