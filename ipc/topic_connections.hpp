// The connections of a topic's end over unix, tcp or pipe: what the supervisor posts is kept here until the end is
// through with it. Has the bell that wakes an end that sleeps on one. Used by both kinds of ends; knows no lane.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "ipc/buffer_pool.hpp"
#include "ipc/endpoint.hpp"
#include "ipc/socket_connection.hpp"

namespace bulkhead::ipc {

// Threads: any, but for the pool, which is the receiving thread's.
class TopicConnections {
 public:
  using Connection = std::shared_ptr<SocketConnection>;

  // `bell`: an eventfd, or none for an end that never sleeps on a connection.
  TopicConnections(Transport, const ChannelOptions&, base::UniqueFd bell);

  // LinkUpdate::sockets: one to each incarnation of the peer. A second one counts only when the first has lost
  // its other end, because a brain that was restarted may say again what is known.
  void post(LinkUpdate);
  Connection to(std::uint16_t peer) const;  // null while there is none
  void forget(const Connection&);           // it is of no more use; another one may come
  void forget_before(std::uint16_t peer);
  void close() noexcept;  // all of them, and those to come

  std::size_t descriptors() const noexcept { return descriptors_of(transport_); }
  int bell() const noexcept { return bell_.get(); }
  void ring() noexcept;  // look again
  BufferPool& pool() noexcept { return pool_; }
  std::uint64_t violations() const;  // posts that were no connection

 private:
  const Transport transport_;
  const ChannelOptions options_;
  const base::UniqueFd bell_;
  BufferPool pool_;
  mutable std::mutex mutex_;  // guards all below
  std::vector<Connection> connections_;
  bool closed_ = false;
  std::uint64_t violations_ = 0;
};

}  // namespace bulkhead::ipc
