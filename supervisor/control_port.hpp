// The brain's end of one control socket, to a worker or to a client. Moves packets; knows nothing of
// what they mean.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "ipc/control_packet.hpp"
#include "ipc/json_rpc.hpp"

namespace bulkhead::supervisor {

// Sends and receives packets without ever blocking the brain: what the peer does not take at once
// waits here, bounded; a peer that lets the queue overflow loses its port, not the brain its time.
// Threads: the brain's loop.
class ControlPort {
 public:
  struct Callbacks {
    std::function<void(ipc::Packet)> packet;
    std::function<void(const Error&)> closed;  // once; the port is dead afterwards
    std::function<void()> sent;                // something went out: wake who sleeps on memory
  };

  ControlPort(boost::asio::io_context&, base::UniqueFd socket, Callbacks);
  ~ControlPort();
  ControlPort(const ControlPort&) = delete;
  ControlPort& operator=(const ControlPort&) = delete;

  // While something waits because the peer does not read, nothing is read from it either.
  // Descriptors are borrowed; those of a packet that has to wait are duplicated.
  void send(const ipc::Json& body, std::span<const int> fds = {});
  // Takes everything that has arrived, at once: for the last words of a dead peer.
  void drain();
  bool alive() const noexcept { return alive_; }
  int fd() noexcept { return socket_.native_handle(); }  // borrowed

 private:
  struct Waiting {
    ipc::Json body;
    std::vector<base::UniqueFd> fds;
  };

  void await_packets();
  void take_packets(int at_most, Deadline);
  void await_room();
  void flush();
  void fail(const Error&);

  boost::asio::posix::stream_descriptor socket_;
  Callbacks callbacks_;
  std::deque<Waiting> waiting_;
  std::shared_ptr<bool> guard_ = std::make_shared<bool>(true);  // false once destroyed
  bool alive_ = true;
  bool is_reading_ = true;
};

}  // namespace bulkhead::supervisor
