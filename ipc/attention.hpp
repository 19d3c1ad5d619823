// What may interrupt a blocked call besides its own link: the supervisor (death of a peer, stop), or
// whoever plays the supervisor's part for a pair made without one. Endpoints know only this.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

namespace bulkhead::ipc {

// Who sent or received on an end. After a fork that may be another process than the one that closes it.
enum class EndUse { none, here, elsewhere };

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

  // The connection to that incarnation of the peer has lost its other end, and nobody has said that the incarnation is
  // dead: whoever made it may make another. May be said of one that is dying, and more than once. Not called under a
  // lock of the endpoint.
  virtual void cut(std::uint16_t peer_epoch) noexcept { static_cast<void>(peer_epoch); }

  // The end is being closed in this process. True when that closes it for good; false when another
  // process, after a fork, still holds the same end, or did until it died. `use` may be asked more than once: only
  // what a dead process did does not change any more.
  virtual bool let_go(const std::function<EndUse()>& use) noexcept {
    static_cast<void>(use);
    return true;
  }
};

}  // namespace bulkhead::ipc
