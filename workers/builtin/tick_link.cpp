#include "workers/builtin/tick_link.hpp"

namespace bulkhead::workers {

Result<TickLink> TickLink::open(Worker& self, std::string_view link) {
  auto channel = self.channel(link);
  if (channel) return TickLink(std::move(*channel));
  if (!channel.error().is(Errc::invalid_argument)) return channel.error();
  // It is a topic, or several channels; where it is neither, the first answer is the better one.
  auto topic = self.topic(link);
  if (!topic) return channel.error();
  return TickLink(std::move(*topic));
}

Result<void> TickLink::send(std::span<const std::byte> message, Deadline deadline) {
  if (auto* const topic = std::get_if<Topic>(&link_)) return topic->publish(message, deadline);
  return std::get<Channel>(link_).send(message, deadline);
}

std::uint64_t TickLink::last_sent() const noexcept {
  if (const auto* const topic = std::get_if<Topic>(&link_)) return topic->last_published();
  return std::get_if<Channel>(&link_)->last_committed();
}

std::uint64_t TickLink::resume_point() const noexcept {
  if (const auto* const topic = std::get_if<Topic>(&link_)) return topic->resume_point();
  return std::get_if<Channel>(&link_)->resume_point();
}

Result<std::optional<TickCount::Gap>> TickLink::receive(TickCount& count, Deadline deadline) {
  if (auto* const topic = std::get_if<Topic>(&link_)) {
    const auto message = topic->receive(deadline);
    if (!message) return message.error();
    if (message->index() < topic->resume_point()) {
      count.take_history(message->bytes());
      return std::optional<TickCount::Gap>();
    }
    return count.take(message->bytes(), message->epoch(), message->redelivered(), message->gap());
  }
  const auto message = std::get<Channel>(link_).receive(deadline);
  if (!message) return message.error();
  return count.take(message->bytes(), message->epoch(), message->redelivered());
}

}  // namespace bulkhead::workers
