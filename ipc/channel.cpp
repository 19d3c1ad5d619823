// Channel is a thin, typed face over an Endpoint; what it adds is the vocabulary of transports.
#include <bulkhead/channel.hpp>

#include "ipc/endpoint.hpp"

namespace bulkhead {

std::string_view to_string(Transport transport) noexcept {
  switch (transport) {
    case Transport::shm: return "shm";
    case Transport::unix_socket: return "unix";
    case Transport::tcp: return "tcp";
    case Transport::pipe: return "pipe";
  }
  return "?";
}

std::optional<Transport> parse_transport(std::string_view name) noexcept {
  for (const auto transport :
       {Transport::shm, Transport::unix_socket, Transport::tcp, Transport::pipe}) {
    if (name == to_string(transport)) return transport;
  }
  return std::nullopt;
}

Channel::Channel(std::shared_ptr<ipc::Endpoint> endpoint) noexcept
    : endpoint_(std::move(endpoint)) {}

// Outstanding messages keep the endpoint's memory. Where this process is going to be replaced, its
// leaving is no farewell: the peer waits for the successor.
Channel::~Channel() {
  if (endpoint_ && endpoint_->spec().peer_life == ipc::PeerLife::single) endpoint_->close();
}

Result<void> Channel::send(std::span<const std::byte> bytes, Deadline deadline) {
  return endpoint_->send(bytes, deadline);
}

Result<void> Channel::try_send(std::span<const std::byte> bytes) {
  return endpoint_->send(bytes, Deadline::now());
}

Result<void> Channel::send_batch(std::span<const std::span<const std::byte>> messages,
                                 Deadline deadline) {
  return endpoint_->send_batch(messages, deadline);
}

Result<Loan> Channel::loan(std::size_t bytes, Deadline deadline) {
  const auto lent = endpoint_->lend(bytes, deadline);
  if (!lent) return lent.error();
  return Loan(endpoint_, lent->bytes, lent->token);
}

Result<Message> Channel::receive(Deadline deadline) { return endpoint_->receive(deadline); }

Result<std::optional<Message>> Channel::try_receive() {
  auto message = endpoint_->receive(Deadline::now());
  if (message) return std::optional<Message>(std::move(*message));
  if (message.error().is(Errc::would_block)) return std::optional<Message>();
  return message.error();
}

int Channel::native_handle() const noexcept { return endpoint_->handle(); }
void Channel::close() noexcept { endpoint_->close(); }
std::uint16_t Channel::epoch() const noexcept { return endpoint_->peer_epoch(); }
std::uint64_t Channel::last_committed() const noexcept { return endpoint_->last_committed(); }
std::uint64_t Channel::resume_point() const noexcept { return endpoint_->resume_point(); }
ChannelStats Channel::stats() const noexcept { return endpoint_->stats(); }
std::string_view Channel::peer() const noexcept { return endpoint_->spec().peer; }

}  // namespace bulkhead
