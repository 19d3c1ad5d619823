// The link of a ticker or a sink, which may be a channel or a topic: what both need of it, in one face. Used
// by those two.
#pragma once

#include <bulkhead/worker.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include "workers/builtin/ticks.hpp"

namespace bulkhead::workers {

class TickLink {
 public:
  // Errors: as Worker::channel.
  static Result<TickLink> open(Worker&, std::string_view link);

  Result<void> send(std::span<const std::byte> message, Deadline);
  std::uint64_t last_sent() const noexcept;

  // Receives one message and has `count` take it. The gap, where it shows one that nobody told of.
  Result<std::optional<TickCount::Gap>> receive(TickCount& count, Deadline);
  std::uint64_t resume_point() const noexcept;

 private:
  explicit TickLink(Channel channel) : link_(std::move(channel)) {}
  explicit TickLink(Topic topic) : link_(std::move(topic)) {}

  std::variant<Channel, Topic> link_;
};

}  // namespace bulkhead::workers
