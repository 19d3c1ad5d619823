// How a SocketEndpoint waits: for its socket, for its supervisor, and for its own bell. Its sync tags
// are in the table of socket_endpoint.cpp.
#include <pthread.h>
#include <sys/eventfd.h>

#include "ipc/poll_sleep.hpp"
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
  tell_cut();
  auto& seen = way == Way::send ? send_attention_ : receive_attention_;
  // sync attention.bump: acquire; pairs with its writer's release; shows what it posted before
  const std::uint32_t word = spec_.attention->word().load(std::memory_order_acquire);
  if (word == seen) return;
  seen = word;
  spec_.attention->service();
}

// Sleeps until the plan's descriptor, the supervisor or our bell has something, or the deadline is over. True when it was
// none of them: what the caller finds then nobody has announced.
bool SocketEndpoint::wait(Way way, WaitPlan plan, Deadline deadline) noexcept {
  const bool sends = way == Way::send;
  if (spec_.attention) tell_cut();
  (sends ? counters_.send_sleeps : counters_.receive_sleeps).add(1);
  const int bell = sends ? send_bell_.get() : receive_bell_.get();
  const auto slept = poll_sleep(plan, bell, spec_.attention.get(), deadline);
  // The other direction may sleep for the same news, which is no longer on the descriptor.
  const int other_bell = sends ? receive_bell_.get() : send_bell_.get();
  if (slept.serviced) static_cast<void>(::eventfd_write(other_bell, 1));
  return slept.unasked;
}

}  // namespace bulkhead::ipc
