// The `to` end of a queue: takes the tasks of its own incarnation, tells the dispatcher what it begins
// and how that ended. Used by Queue and Lease; knows nothing of other workers. One thread at a time.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/queue.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ipc/lease_page.hpp"
#include "ipc/queue_frame.hpp"

namespace bulkhead::ipc {

class QueueConsumer : public std::enable_shared_from_this<QueueConsumer> {
 public:
  // The clock: of a queue with a `lease_timeout`.
  explicit QueueConsumer(Channel, std::optional<LeaseClock> = std::nullopt) noexcept;

  Result<Lease> lease(Deadline);

  // For the lease that is out.
  Result<void> complete(Message& task, std::span<const std::byte> result, Deadline);
  void give_back(Message& task, QueueFrame::Kind why) noexcept;

  std::size_t message_max() const noexcept { return message_max_; }
  QueueStats stats() const noexcept { return stats_; }

 private:
  Error condemned();
  Result<void> say_what_is_owed(Deadline);
  Result<void> send(const QueueFrame&, std::span<const std::byte> result, Deadline);

  Channel channel_;
  std::optional<LeaseClock> clock_;
  const std::uint16_t epoch_;  // our incarnation
  const std::size_t message_max_;
  QueueFrame leased_;  // what is out, as it is told of
  bool is_leased_ = false;
  std::deque<QueueFrame> owed_;  // what there was no room for when it was to be said
  std::vector<std::byte> buffer_;
  QueueStats stats_;
};

}  // namespace bulkhead::ipc
