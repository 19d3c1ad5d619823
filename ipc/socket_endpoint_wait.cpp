// How a SocketEndpoint waits: for its socket, for its supervisor, and for its own bell. Its sync tags
// are in the table of socket_endpoint.cpp.
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "ipc/socket_endpoint.hpp"

namespace bulkhead::ipc {
namespace {

// Which of the processes that a fork made this is, without a system call.
std::atomic<std::uint32_t> process_number{1};

void count_fork() noexcept {
  process_number.fetch_add(1, std::memory_order_relaxed);  // relaxed: the child has one thread
}

std::uint32_t this_process() noexcept {
  static const int registered = ::pthread_atfork(nullptr, nullptr, count_fork);
  static_cast<void>(registered);
  return process_number.load(std::memory_order_relaxed);  // relaxed: changes at a fork only
}

timespec to_timespec(std::chrono::nanoseconds span) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
  return {static_cast<time_t>(seconds.count()), static_cast<long>((span - seconds).count())};
}

}  // namespace

void SocketEndpoint::mark_used() noexcept {
  const std::uint32_t here = this_process();
  // relaxed: read by close(), which cares about uses that happened before it.
  if (used_in_.load(std::memory_order_relaxed) == here) return;
  used_in_.store(here, std::memory_order_relaxed);  // relaxed: as above
}

bool SocketEndpoint::used_here() const noexcept {
  return used_in_.load(std::memory_order_relaxed) == this_process();  // relaxed: as above
}

void SocketEndpoint::ring_bells() noexcept {
  for (const int bell : {send_bell_.get(), receive_bell_.get()}) {
    static_cast<void>(::eventfd_write(bell, 1));
  }
}

// The supervisor's word is looked at before each attempt, so that a busy loop hears of it too.
void SocketEndpoint::look_around(Way way) noexcept {
  if (!spec_.attention) return;
  auto& seen = way == Way::send ? send_attention_ : receive_attention_;
  // sync attention.bump: acquire; pairs with its writer's release; shows what it posted before
  const std::uint32_t word = spec_.attention->word().load(std::memory_order_acquire);
  if (word == seen) return;
  seen = word;
  spec_.attention->service();
}

// Sleeps until the plan's descriptor, the supervisor or our bell has something, or the deadline is
// over. Never for longer than the attention allows: a thread may have taken from the attention's
// descriptor what another one sleeps for. True when it was that, and nothing shows even now: what the caller
// finds then nobody has announced.
bool SocketEndpoint::wait(Way way, WaitPlan plan, Deadline deadline) noexcept {
  const int bell = way == Way::send ? send_bell_.get() : receive_bell_.get();
  Attention* const attention = spec_.attention.get();
  std::array<pollfd, 3> fds{pollfd{plan.fd, plan.events, 0}, pollfd{bell, POLLIN, 0},
                            pollfd{attention != nullptr ? attention->fd() : -1, POLLIN, 0}};
  const std::chrono::nanoseconds net =
      attention != nullptr ? attention->longest_sleep() : std::chrono::seconds(1);
  const std::chrono::nanoseconds left = deadline.remaining();
  const std::chrono::nanoseconds longest = std::min(left, net);
  // Without a timer the kernel has a third less to do here.
  const bool endless = longest == std::chrono::nanoseconds::max();
  const timespec timeout = endless ? timespec{} : to_timespec(longest);
  if (attention != nullptr) attention->sleeping(true);
  (way == Way::send ? counters_.send_sleeps : counters_.receive_sleeps).add(1);
  const int ready = ::ppoll(fds.data(), fds.size(), endless ? nullptr : &timeout, nullptr);
  if (attention != nullptr) attention->sleeping(false);
  if (ready <= 0) {
    // EINTR, or the time is over; the caller knows which by its deadline.
    if (attention != nullptr && left > net) attention->service();
    return ready == 0 && left > net && ::poll(fds.data(), fds.size(), 0) == 0;
  }
  if (fds[1].revents != 0) {
    eventfd_t rings = 0;
    static_cast<void>(::eventfd_read(bell, &rings));
  }
  if (fds[2].revents == 0) return false;
  attention->service();
  // The other direction may sleep for the same news, which is no longer on the descriptor.
  static_cast<void>(::eventfd_write(way == Way::send ? receive_bell_.get() : send_bell_.get(), 1));
  return false;
}

}  // namespace bulkhead::ipc
