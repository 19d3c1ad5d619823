#include "ipc/poll_sleep.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>

namespace bulkhead::ipc {
namespace {

timespec to_timespec(std::chrono::nanoseconds span) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
  return {static_cast<time_t>(seconds.count()), static_cast<long>((span - seconds).count())};
}

}  // namespace

PollSlept poll_sleep(WaitPlan plan, int bell, Attention* attention, Deadline deadline) noexcept {
  std::array<pollfd, 3> fds{pollfd{plan.fd, plan.events, 0}, pollfd{bell, POLLIN, 0},
                            pollfd{attention != nullptr ? attention->fd() : -1, POLLIN, 0}};
  const std::chrono::nanoseconds net =
      attention != nullptr ? attention->longest_sleep() : std::chrono::seconds(1);
  const std::chrono::nanoseconds left = deadline.remaining();
  const std::chrono::nanoseconds longest = std::min(left, net);
  // Setting a timer costs the kernel time on every sleep: none where nothing needs one.
  const bool endless = longest == std::chrono::nanoseconds::max();
  const timespec timeout = endless ? timespec{} : to_timespec(longest);
  if (attention != nullptr) attention->sleeping(true);
  const int ready = ::ppoll(fds.data(), fds.size(), endless ? nullptr : &timeout, nullptr);
  if (attention != nullptr) attention->sleeping(false);
  if (ready <= 0) {
    // EINTR, or the time is over; the caller knows which by its deadline.
    if (attention != nullptr && left > net) attention->service();
    return {false, ready == 0 && left > net && ::poll(fds.data(), fds.size(), 0) == 0};
  }
  if (fds[1].revents != 0) {
    eventfd_t rings = 0;
    static_cast<void>(::eventfd_read(bell, &rings));
  }
  if (fds[2].revents == 0) return {};
  attention->service();
  return {true, false};
}

}  // namespace bulkhead::ipc
