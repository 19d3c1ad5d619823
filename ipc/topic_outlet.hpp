// The connection of a publisher's end to its subscriber, over unix, tcp or pipe: copies what the lane commits into
// it, as far as the kernel takes it. What the kernel refuses stays in the lane, where the subscriber reads it.
// Used by TopicWriter; knows nothing of policies. One thread.
//
// | tag            | writer              | reader               | visible after it            | killed in between       |
// |----------------|---------------------|----------------------|-----------------------------|-------------------------|
// | socket.in_step | TopicOutlet         | TopicInlet           | that the frames before it   | the lane is read, which |
// |                |                     |                      | are with the kernel         | has all of it           |
#pragma once

#include <cstdint>

#include "ipc/topic_connections.hpp"
#include "ipc/topic_producer.hpp"

namespace bulkhead::ipc {

class TopicOutlet {
 public:
  // `newest_only`: no frame for a message that has a successor.
  TopicOutlet(TopicConnections& connections, EndPage& page, std::uint16_t epoch,
              bool newest_only) noexcept
      : connections_(connections), page_(page), epoch_(epoch), newest_only_(newest_only) {}

  // From now on frames are for that incarnation of the subscriber; 0: for nobody. A new connection begins with
  // what is committed after this: what lies before, its subscriber finds in the lane.
  void turn_to(std::uint16_t subscriber, const TopicProducer&) noexcept;
  // Writes what the connection was not given yet. Never blocks.
  void give(const TopicProducer&) noexcept;
  // The kernel has refused something since the connection was given all; or there is none.
  bool is_behind() const noexcept { return in_step_ == 0; }
  void let_go() noexcept;

 private:
  void set_in_step(std::uint16_t) noexcept;

  TopicConnections& connections_;
  EndPage& page_;
  const std::uint16_t epoch_;  // ours
  const bool newest_only_;
  TopicConnections::Connection out_;
  std::uint64_t unsent_ = 0;   // in the lane: where the first record begins that has no frame yet
  std::uint16_t in_step_ = 0;  // as in the page
};

}  // namespace bulkhead::ipc
