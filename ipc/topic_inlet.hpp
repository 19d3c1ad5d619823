// The connection of a subscriber's end to one incarnation of its publisher, over unix, tcp or pipe. The lane says which
// message comes next, and the connection brings its bytes; what no connection brings is read from the lane. Used by
// TopicReader; knows nothing of acknowledging. One thread. Its sync tag is in the table of topic_outlet.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ipc/topic_connections.hpp"
#include "ipc/topic_consumer.hpp"

namespace bulkhead::ipc {

class TopicInlet {
 public:
  using Found = TopicConsumer::Found;

  TopicInlet(TopicConnections& connections, std::uint16_t epoch) noexcept
      : connections_(connections), epoch_(epoch) {}

  // From now on messages of that incarnation of the publisher are taken, over its newest connection.
  void turn_to(std::uint16_t publisher) noexcept;
  // The next message, of this lane and of the connection. `finished`: nothing more is going to be committed.
  Found poll(TopicConsumer&, const EndPage& publisher, bool finished, TopicConsumer::Message&);
  // The same without taking it: its frame is here, or it is to be read from the lane.
  Found find(TopicConsumer&, const EndPage& publisher, bool finished, TopicConsumer::Head&);
  const char* complaint() const noexcept { return complaint_.c_str(); }  // after a violation
  void let_go() noexcept;

  // Whether the connection wakes us for what comes next, as the last look in vain found. Else whoever commits
  // looks for one who sleeps on a futex.
  bool is_awaited() const noexcept { return awaited_; }
  WaitPlan plan() const noexcept;

 private:
  enum class Reached { frame, dry, too_late, spoiled };

  Reached reach(std::uint64_t number);
  Found take_frame(const TopicConsumer::Head&, TopicConsumer&, TopicConsumer::Message&);
  bool is_in_step(const EndPage& publisher) const noexcept;
  void drop_frame() noexcept;
  Found spoil(const std::string& complaint);

  TopicConnections& connections_;
  const std::uint16_t epoch_;  // ours
  TopicConnections::Connection in_;
  std::optional<Incoming> frame_;  // the last that was read, while it may still be wanted
  bool proven_ = false;   // a frame came over this connection: its publisher has begun to use it
  bool awaited_ = false;  // see is_awaited()
  std::string complaint_;
};

}  // namespace bulkhead::ipc
