// What may interrupt a blocked call besides its own link: the supervisor (death of a peer, stop), or
// whoever plays the supervisor's part for a pair made without one. Endpoints know only this.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace bulkhead::ipc {

// Threads: every member may be called from any thread.
class Attention {
 public:
  virtual ~Attention() = default;

  // A futex word that changes when somebody wants attention; in a page that its writer shares
  // read-only. Never null; constant for the life of the object.
  virtual const std::atomic<std::uint32_t>& word() const noexcept = 0;

  // Polls readable when service() has something to do; -1 when there is no such descriptor.
  virtual int fd() const noexcept = 0;

  // Carries out what is pending: takes control messages and posts link updates to endpoints. Never
  // blocks and never calls into an endpoint beyond Endpoint::post().
  virtual void service() noexcept = 0;

  // Called just before and after a sleep, so that a sleeping worker is not taken for a hung one.
  virtual void sleeping(bool) noexcept {}

  // How long an endpoint may sleep before it calls service() unasked; nanoseconds::max(): for ever.
  // Short only where nobody changes the word when the peer dies.
  virtual std::chrono::nanoseconds longest_sleep() const noexcept {
    return std::chrono::seconds(1);
  }

  // The end is being closed in this process. True when that closes it for good; false when another
  // process, after a fork, still holds the same end. `used_here`: this process sent or received.
  virtual bool let_go(bool used_here) noexcept {
    static_cast<void>(used_here);
    return true;
  }
};

}  // namespace bulkhead::ipc
