// Wakes the threads of this process that sleep in a poll when one of them has taken a control packet
// that concerns another. Used by ControlLink. Must not know what packets mean.
//
// poll(2) looks again when it is woken and goes back to sleep if the packet is gone. So the thread that
// takes packets says changed(), which keeps fd() readable until each thread that slept then has left
// its sleep.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <memory>
#include <mutex>

#include "base/fd.hpp"

namespace bulkhead::workers {

// Threads: everything from any thread; ring_from_signal also from a signal handler.
class Sleepers {
 public:
  // `socket` is borrowed and watched: fd() is readable when it is.
  [[nodiscard]] static Result<std::unique_ptr<Sleepers>> open(int socket);

  int fd() const noexcept { return poll_.get(); }
  void watch_writable(bool) noexcept;  // fd() is readable also when the socket can be written to

  void enter() noexcept;             // this thread is about to poll fd()
  void leave() noexcept;             // ... and has come back; it looks at what concerns it now
  void looked() noexcept;            // this thread has seen all that was taken so far
  void changed() noexcept;           // something was taken that others must look at
  void ring_from_signal() noexcept;  // fd() is readable until take_signal()
  bool take_signal() noexcept;       // whether it rang

 private:
  Sleepers() = default;
  void ring() noexcept;
  void quiet() noexcept;

  int socket_ = -1;
  base::UniqueFd poll_, bell_, signal_bell_;

  std::mutex mutex_;  // guards what follows
  std::uint64_t changes_ = 0;
  std::uint64_t asleep_ = 0;
  std::uint64_t behind_ = 0;  // of those asleep: who must still look
  bool ringing_ = false;
  bool writable_watched_ = false;
};

}  // namespace bulkhead::workers
