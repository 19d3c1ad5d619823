// The contract that each transport implements. Channel, RPC, wait_any and Asio stand on this and on nothing else
// of a transport.
#pragma once

#include <cxxabi.h>

#include <atomic>
#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/message.hpp>
#include <bulkhead/topic.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "ipc/end_spec.hpp"
#include "ipc/lookout.hpp"
#include "ipc/message_batch.hpp"

namespace bulkhead::ipc {

// What a transport knows of a message that it hands out.
struct MessageParts {
  Endpoint* endpoint;
  std::span<const std::byte> bytes;
  std::uint64_t position, index;
  std::uint16_t epoch;
  bool redelivered;
};

// std::uncaught_exceptions(), which costs two calls into another library, at the price of a load. The
// counter's place is fixed by the Itanium C++ ABI, "Exception Handling", 2.2.2.
inline int uncaught_exceptions() noexcept {
  struct Globals {
    void* caught;
    unsigned int uncaught;
  };
  thread_local const Globals* const globals =
      reinterpret_cast<const Globals*>(abi::__cxa_get_globals());
  return static_cast<int>(globals->uncaught);
}

// Where and for what to poll before a call can act.
struct WaitPlan {
  int fd = -1;
  short events = 0;
};

class Endpoint : public std::enable_shared_from_this<Endpoint> {
 public:
  // The one way to make a shared endpoint (not make_shared): messages that outlive every owner keep
  // it alive through a count of their own, which costs the receiver one atomic operation a message.
  template <class T>
  static std::shared_ptr<Endpoint> share(std::unique_ptr<T> endpoint) {
    return std::shared_ptr<Endpoint>(endpoint.release(),
                                     [](Endpoint* owned) noexcept { owned->owners_left(); });
  }

  virtual ~Endpoint();

  // Deadline::now() means: do not wait; the error is then would_block.
  virtual Result<void> send(std::span<const std::byte> bytes, Deadline) = 0;
  virtual Result<Message> receive(Deadline) = 0;

  // All or none, see Channel::send_batch; unsupported where it is not overridden.
  virtual Result<void> send_batch(MessageBatch, Deadline);

  // Memory for a message, see Loan. Each is ended by one commit() that succeeds, or by abandon();
  // commit() sends its bytes, which may be fewer than were lent.
  struct Lent {
    std::span<std::byte> bytes;
    std::uint64_t token;
  };
  virtual Result<Lent> lend(std::size_t bytes, Deadline);
  virtual Result<void> commit(const Lent&, Deadline);
  virtual void abandon(const Lent&) noexcept;

  // By the receiving thread. acknowledge covers `position` and everything received before it.
  virtual void acknowledge(std::uint64_t position) noexcept = 0;
  virtual void release(std::uint64_t position) noexcept = 0;  // comes again, redelivered

  // To wait from outside (wait_any, Asio): prepare_* arms and returns true when the call can act
  // now, or must look (an error, an update); otherwise poll the plan and Attention::fd(), then
  // call finish_* before the next send or receive. A poll may end for nothing.
  virtual bool prepare_receive_wait() = 0;
  virtual void finish_receive_wait() noexcept = 0;
  virtual WaitPlan receive_plan() const noexcept = 0;
  virtual bool prepare_send_wait(std::size_t bytes) = 0;
  virtual void finish_send_wait() noexcept = 0;
  virtual WaitPlan send_plan() const noexcept = 0;

  // For an event loop, by the receiving thread: one descriptor for the life of this end, readable while receiving is
  // worth a try, until one finds nothing. Kept right from the first call on. -1 when out of descriptors.
  int handle() noexcept;

  // Thread-safe; wakes nobody by itself: the poster bumps the attention word.
  virtual void post(LinkUpdate) = 0;

  // The memory that this end owns (borrowed; -1 when the transport has none): handed to the peer,
  // and to the keeper so that it outlives this process.
  virtual int segment_fd() const noexcept = 0;

  virtual void close() noexcept = 0;
  virtual std::uint16_t peer_epoch() const noexcept = 0;
  // Whether that incarnation of the peer is dead for certain, by the supervisor's word. A call that
  // receives nothing after this said so has seen all that it committed.
  virtual bool peer_is_dead(std::uint16_t epoch) const noexcept;
  virtual std::uint64_t last_committed() const noexcept = 0;
  virtual std::uint64_t resume_point() const noexcept = 0;
  virtual ChannelStats stats() const noexcept = 0;
  virtual const EndSpec& spec() const noexcept = 0;

 protected:
  // By the receiving thread, for each message that it hands out.
  MessageParts part(std::span<const std::byte> bytes, std::uint64_t position, std::uint64_t index,
                    std::uint16_t epoch, bool redelivered) noexcept {
    return {this, bytes, position, index, epoch, redelivered};
  }

  // Around each receive that does not find a message at once: where somebody has the handle, one that finds nothing
  // leaves this end armed for it.
  template <class Receive>
  auto watched(const Receive& receive) {
    if (lookout_ == nullptr) return receive();
    end_watch();
    auto received = receive();
    const bool nothing = !received && (received.error().is(Errc::would_block) ||
                                       received.error().is(Errc::timed_out));
    if (nothing) watch();
    return received;
  }
  // The last act of release(): there is something to receive now.
  void came_back() noexcept {
    if (lookout_ != nullptr) end_watch();
  }
  // The last act of finish_receive_wait(): what came meanwhile has not been looked for.
  void look_again() noexcept {
    if (lookout_ != nullptr) lookout_->look();
  }

 private:
  friend class bulkhead::Message;
  void begin_view() noexcept {
    // relaxed: only the receiving thread counts up, and never while the last owner leaves, since it
    // receives through an owner; so this needs no read-modify-write.
    views_.store(views_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void end_view() noexcept {  // may delete this
    // sync endpoint.views: acq_rel; pairs with owners_left(); hands the endpoint to whoever comes last
    if (views_.fetch_sub(1, std::memory_order_acq_rel) == (orphaned | 1U)) delete this;
  }
  void owners_left() noexcept {
    // sync endpoint.views: acq_rel; pairs with end_view(); hands the endpoint to whoever comes last
    if (views_.fetch_or(orphaned, std::memory_order_acq_rel) == 0) delete this;
  }

  // Messages that are out, and whether every owner has gone.
  static constexpr std::uint32_t orphaned = 1U << 31;
  std::atomic<std::uint32_t> views_{0};

  void watch() noexcept;
  void end_watch() noexcept;
  std::unique_ptr<Lookout> lookout_;  // once handle() was asked for
};

// What the brain, or connected_pair, hands to both ends as LinkUpdate::sockets. On shm doorbells (one byte a
// ring): fds[0] rings for a message, fds[1] for space, each a socketpair of its own so that one waiter never
// drains the other's. Else fds[0] (a pipe: read, fds[1]: write), and a doorbell for space where there is memory.
struct SocketEnds {
  std::vector<base::UniqueFd> from, to;
};
[[nodiscard]] Result<SocketEnds> make_sockets(Transport);
[[nodiscard]] Result<std::shared_ptr<Endpoint>> open_endpoint(Transport, EndSpec);

}  // namespace bulkhead::ipc

namespace bulkhead {

inline Message::Message(const ipc::MessageParts& parts) noexcept
    : endpoint_(parts.endpoint),
      bytes_(parts.bytes),
      position_(parts.position),
      index_(parts.index),
      uncaught_(ipc::uncaught_exceptions()),
      epoch_(parts.epoch),
      redelivered_(parts.redelivered) {
  endpoint_->begin_view();
}

}  // namespace bulkhead
