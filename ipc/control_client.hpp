// The client's side of the control protocol: hello, requests, notifications, and a new connection when
// the brain behind the old one died. Used by bulkhead::Connection. Must not know what the methods do.
#pragma once

#include <bulkhead/connection.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "ipc/control_packet.hpp"
#include "ipc/json_rpc.hpp"

namespace bulkhead::ipc {

// Threads: one at a time.
class ControlClient {
 public:
  // Has said hello and been answered. Errors: those of bulkhead::connect().
  static Result<ControlClient> open(std::string path, Deadline);
  // Connects at the first call, and only to the system that `known` is.
  explicit ControlClient(SystemIdentity known) : identity_(std::move(known)) {}

  const SystemIdentity& identity() const noexcept { return identity_; }

  // The packet with the result, whose body is a result message, and whose descriptors belong to it.
  // Repeats the request on a new connection when the brain dies over it, a few times at most.
  Result<Packet> call(std::string_view method, Json params, Deadline);

  // The next notification; nullopt when the brain has died: ask again for what was being followed.
  Result<std::optional<Packet>> next_notification(Deadline);

  // The next call makes a new connection.
  void disconnect() noexcept { socket_.reset(); }

 private:
  Result<void> connect(Deadline);
  Result<void> hello(Deadline);
  // The answer, whatever it says; its errors are those of the connection alone.
  Result<Packet> exchange(const Json& message, std::uint64_t id, Deadline);

  SystemIdentity identity_;
  base::UniqueFd socket_;
  std::uint64_t next_id_ = 1;
};

}  // namespace bulkhead::ipc
