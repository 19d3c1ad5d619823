// One sleep for several ends, whatever their transports: arm all, poll what they name and what may
// interrupt them, disarm. Used by wait_any and by the dispatcher of a queue; knows endpoints and attentions
// only. One thread.
#pragma once

#include <poll.h>

#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "ipc/attention.hpp"

namespace bulkhead::ipc {

// What is waited for at an end. Neither: only that the supervisor has news of it.
struct Awaited {
  Endpoint* endpoint;
  bool message = true;
  std::size_t room = 0;  // for a message of so many bytes; 0: never mind
};

class WaitSet {
 public:
  explicit WaitSet(std::span<const Awaited> ends);  // borrowed

  // Sleeps until something may have changed: a message, room, news of the supervisor, the deadline, or
  // nothing at all. What it was is the caller's to find out.
  void wait_once(Deadline);

  // The parts of it. arm: the first end from `start` on, going round, that can act; all are armed
  // when there is none.
  std::optional<std::size_t> arm(std::size_t start);
  void poll(Deadline);
  void disarm() noexcept;
  void service() noexcept;  // cheap when there is nothing to do, and due after every sleep

 private:
  bool arm_one(std::size_t at);
  void finish(std::size_t at) noexcept;

  std::span<const Awaited> ends_;
  std::vector<Attention*> attentions_;
  std::vector<pollfd> polled_;
};

}  // namespace bulkhead::ipc
