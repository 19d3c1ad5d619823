// One contract over four transports: ordered, message-preserving, both ways, with deadlines.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/loan.hpp>
#include <bulkhead/message.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace bulkhead {

enum class Transport : std::uint8_t { shm, unix_socket, tcp, pipe };
enum class WaitMode : std::uint8_t { adaptive, spin, block };

std::string_view to_string(Transport) noexcept;  // "shm", "unix", "tcp", "pipe": as in a config
std::optional<Transport> parse_transport(std::string_view) noexcept;

struct ChannelOptions {
  std::size_t capacity = std::size_t{1}
                         << 20;  // bytes per direction; shm: a power of two, 4 KiB at least
  std::size_t max_message = std::size_t{64} << 10;  // bytes; on shm at most (capacity - 64) / 2
  WaitMode wait = WaitMode::adaptive;
};

struct ChannelStats {
  std::uint64_t sent = 0, acknowledged = 0;  // our messages; acknowledged by the peer, where known
  std::uint64_t received = 0, redelivered = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t sleeps = 0, wakes = 0;  // times we slept; times we had to wake the peer
  std::uint64_t safety_net = 0;  // sleeps ended by the bounded-sleep net alone: a lost wake-up
  std::uint64_t violations = 0;  // what the peer did against the protocol
};

namespace ipc {
class Endpoint;
}

// One end of a link between two processes.
// Threads: one thread sends and one receives at a time; they may be different threads.
// Blocking: send while the link is full, receive while it is empty, both up to their deadline.
// Errors: timed_out, stopped, closed, peer_died (only where no supervisor will replace the peer),
//   message_too_big, protocol_violation. After an error nothing was sent or taken.
// Ownership: destroying one closes it, but for a link that a supervisor holds: there the peer
//   waits for the next incarnation, and only close() says that no more will come.
// After a crash: see Message; a restart of the peer shows as a changed epoch(), never as an error.
class Channel {
 public:
  explicit Channel(std::shared_ptr<ipc::Endpoint>) noexcept;
  Channel(Channel&&) noexcept = default;
  Channel& operator=(Channel&&) noexcept = default;
  ~Channel();

  // Success means committed: the message survives the death of either end.
  [[nodiscard]] Result<void> send(std::span<const std::byte> bytes, Deadline = Deadline::never());
  [[nodiscard]] Result<void> try_send(std::span<const std::byte> bytes);  // would_block when full
  // Several small messages with one commit: they become visible together, wake the receiver once, and a crash
  // of either end leaves all of them or none. Worth while for up to about 16 at once, which is faster than
  // as many calls; longer batches only keep the receiver waiting. An empty one is no error and sends nothing.
  // Blocks until there is room for all. Errors: as send; message_too_big too when all of them and
  // the largest once more exceed `capacity`; unsupported where the ends share no memory (a peer that is no worker).
  [[nodiscard]] Result<void> send_batch(std::span<const std::span<const std::byte>> messages,
                                        Deadline = Deadline::never());
  // Memory to write a message of at most so many bytes into, see Loan: worth while from a few KiB on.
  // On shm the loans and the messages under way share one area as large as the ring (`capacity`).
  // Blocks while the area is full of messages that the peer still holds.
  // Errors: as send; out_of_budget when our own loans fill the area, or memory is short.
  [[nodiscard]] Result<Loan> loan(std::size_t bytes, Deadline = Deadline::never());
  [[nodiscard]] Result<Message> receive(Deadline = Deadline::never());
  [[nodiscard]] Result<std::optional<Message>> try_receive();

  // Completion signatures: void(Result<void>), void(Result<Message>). Defined in
  // <bulkhead/async.hpp>. One operation of each kind at a time; the completion runs on the
  // executor associated with the token (for a coroutine: its own). async_send copies the bytes.
  template <class Token>
  auto async_send(std::span<const std::byte> bytes, Token&& token);
  template <class Token>
  auto async_receive(Token&& token);

  // A descriptor for an event loop, the same as long as this end lives. It polls readable when receiving is worth a
  // try, until one finds nothing. Made by the first call, by the receiving thread; ask after a fork, not before.
  // What the supervisor has to say may come to another thread: try once a second besides. -1 when out of descriptors.
  int native_handle() const noexcept;
  void close() noexcept;

  std::uint16_t epoch() const noexcept;  // the peer's incarnation; 0 while there is none
  // How many messages this end and its predecessors committed: a successor numbers on from here.
  std::uint64_t last_committed() const noexcept;
  // The index of the first message that this incarnation is going to be given.
  std::uint64_t resume_point() const noexcept;
  ChannelStats stats() const noexcept;
  std::string_view peer()
      const noexcept;  // instance name of the other end, "" without a supervisor

  ipc::Endpoint& endpoint() noexcept { return *endpoint_; }
  const std::shared_ptr<ipc::Endpoint>& shared_endpoint() const noexcept { return endpoint_; }

 private:
  std::shared_ptr<ipc::Endpoint> endpoint_;
};

// Waits until one of the channels can be received from, and returns its position in the span.
// Fair: begins its look after the channel that it returned last time when called with the same
// `turn`. Errors: timed_out, stopped; invalid_argument for an empty span with no deadline.
[[nodiscard]] Result<std::size_t> wait_any(std::span<Channel* const> channels, Deadline,
                                           std::size_t* turn = nullptr);

// Both ends of a fresh channel without a supervisor, for use in one process or across a fork
// (each process then drops the end that it does not use). A process that drops both has closed the channel
// for everybody: a third one, that a later fork made, keeps what it inherited until it exits.
[[nodiscard]] Result<std::pair<Channel, Channel>> connected_pair(Transport, ChannelOptions = {});

}  // namespace bulkhead
